// Command peerbench measures qbranch against the other downloaders on this
// machine, in one command and one run, and prints the table of docs/benchmarks.md:
// target, ours, the peers', met or not.
//
// It starts a hub of its own (hub/hubtest) in a second process, so that the
// hub's work is not counted as anybody's, and lets each tool fetch the same
// files from it into empty folders, in turn: what disturbs the machine for a
// while hits all of them. Every number is the median of the rounds. Peers are
// used when they are on the PATH (curl, aria2c, wget, hf) or importable by the
// Python beside hf (hf_transfer); text-generation-webui's script when --webui
// says where it is. One that is absent is left out, and said so.
//
// What is measured is what the kernel says of the child process: wall time
// from start to exit, user and system CPU seconds, peak resident memory
// (rusage); and what the hub's own log says: requests, and body bytes handed
// to the kernel. Of bytes in a connection that a killed client leaves, some
// were never received; they count as sent.
//
// "peerbench runner" measures running a model instead: qbranch bench beside
// llama.cpp, on models of the same shape with random weights (cmd/gptqmake,
// llama.py), in turn, on one and two threads, and beside a busy process. Its
// Python is named by $QBRANCH_LLAMA_PYTHON; without one nothing is measured.
//
// Not given: the peers' best possible settings (each is run as its own manual
// advises for large files, the command lines are printed), a network with real
// packets (loopback; rates and round trips are the hub's, see hub/hubtest),
// Xet (our hub has none; hf is run with its plain HTTP route, which it takes
// for such hubs), and a quiet machine: the load before each row is printed.
package main
