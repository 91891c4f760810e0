// Package demo embeds a tiny real GPTQ repository with eight branches and plays the whole job on it.
package demo
