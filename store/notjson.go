package store

import (
	"encoding/json"
	"errors"
	"fmt"
)

// notJSON says in plain words where a file that did not parse stops being what
// it should be; bytes count from 0.
func notJSON(b []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax) && syntax.Offset >= int64(len(b)):
		return fmt.Errorf("it ends too early, at byte %d", len(b))
	case errors.As(err, &syntax):
		return fmt.Errorf("it is not JSON at byte %d", max(syntax.Offset-1, 0))
	case errors.As(err, &kind):
		return fmt.Errorf("it has a value of the wrong kind before byte %d", kind.Offset)
	}
	return errors.New("it has a value that cannot be")
}
