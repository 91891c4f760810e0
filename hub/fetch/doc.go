// Package fetch fills a store from a hub: a pure plan, then parallel ranged
// requests of whole 1 MiB parts that resume exactly.
package fetch
