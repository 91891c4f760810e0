package infer

import "strings"

// stopper cuts a text that comes in pieces at the first of its stop strings,
// wherever the pieces end. The zero value passes everything on.
type stopper struct {
	stops []string // none is empty
	held  string   // the end of the text so far, which may begin a stop string
}

// push takes a piece and returns what is certain not to belong to a stop string;
// found says that one is complete: what is returned is the end.
func (s *stopper) push(piece string) (text string, found bool) {
	if len(s.stops) == 0 {
		return piece, false
	}
	s.held += piece
	end := -1
	for _, stop := range s.stops {
		if i := strings.Index(s.held, stop); i >= 0 && (end < 0 || i < end) {
			end = i
		}
	}
	if end >= 0 {
		text, s.held = s.held[:end], ""
		return text, true
	}
	keep := 0
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(s.held)); n > keep; n-- {
			if strings.HasSuffix(s.held, stop[:n]) {
				keep = n
			}
		}
	}
	certain := len(s.held) - keep
	text, s.held = s.held[:certain], s.held[certain:]
	return text, false
}

// flush returns what was held back, when no more comes.
func (s *stopper) flush() string {
	text := s.held
	s.held = ""
	return text
}
