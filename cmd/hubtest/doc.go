// Command hubtest serves a folder, or files made from a seed, as a repository
// of the Hugging Face Hub on this machine, and misbehaves on command: for
// people who want to see what a download client does on a bad day.
//
//	hubtest serve ./model
//	hubtest serve --synthetic model.safetensors=2GiB --rate-per-conn 20MB --latency 40ms
//	hubtest serve ./model --fault reset-every=32MiB --fault 'flip-at=1000001,times=1'
//
// It owns flags and texts; the hub itself is package hub/hubtest.
package main
