// Package hubtest is a faithful hub on loopback: the API on one origin, a
// redirect to a second "CDN" origin with signed, expiring URLs, and faults that
// happen on command. It serves tests and the embedded demo.
package hubtest
