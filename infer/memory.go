package infer

// Memory is what a process occupies, in bytes; 0 = not known on this system.
type Memory struct {
	Peak   int64 // the most at any time
	Own    int64 // that is the process's own: buffers, keys and values
	Mapped int64 // of files, which the system can take back: the weights
}
