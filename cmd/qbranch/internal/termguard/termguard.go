package termguard

import "os"

// term is TERM as the process found it.
var term, found = os.LookupEnv("TERM")

// The one init with an effect in this module; the package comment says why.
// Setenv cannot fail here: the name and the value are constants.
func init() { os.Setenv("TERM", "dumb") }

// Restore puts TERM back as the process found it. Call it first in main.
func Restore() {
	if found {
		os.Setenv("TERM", term)
	} else {
		os.Unsetenv("TERM")
	}
}
