package kernel

// fastest is the fastest set of instructions this machine has.
var fastest = goInstructions
