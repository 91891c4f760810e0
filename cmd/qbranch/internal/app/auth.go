package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/qbranch/qbranch/hub"
)

// AuthState says what the hub makes of the token.
type AuthState string

// Auth states.
const (
	AuthAnonymous AuthState = "anonymous" // there is no token
	AuthAccepted  AuthState = "accepted"
	AuthRejected  AuthState = "rejected"
	AuthUnknown   AuthState = "unknown" // the hub could not be asked
)

// AuthStatus is where the token came from, and what it is good for.
type AuthStatus struct {
	Endpoint string    `json:"endpoint"`
	State    AuthState `json:"state"`
	Source   string    `json:"source,omitempty"`  // a variable or a file
	Mode     string    `json:"mode,omitempty"`    // of the file, in octal
	Exposed  bool      `json:"exposed,omitempty"` // others on this machine can read it

	Name      string     `json:"name,omitempty"`
	Type      string     `json:"type,omitempty"`       // "user", "org" or "app"
	TokenName string     `json:"token_name,omitempty"` // what its owner calls it
	Role      string     `json:"role,omitempty"`       // "read", "write" or "fineGrained"
	Gated     *bool      `json:"gated,omitempty"`      // of a fine-grained one: it may read gated repositories
	Orgs      []string   `json:"orgs,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"`
	AsOf      *time.Time `json:"as_of,omitempty"` // when the hub said so
}

// AuthStatus asks the hub about the token, unless it did so within the last
// hour. The status comes with the error when the token is rejected or the hub
// cannot be asked.
func (a *App) AuthStatus(ctx context.Context) (*AuthStatus, error) {
	t := a.hub.Token()
	s := &AuthStatus{Endpoint: a.Endpoint(), State: AuthAnonymous}
	if t.IsZero() {
		return s, nil
	}
	s.State, s.Source, s.Exposed = AuthUnknown, t.Source, t.Exposed()
	if t.Mode != 0 {
		s.Mode = fmt.Sprintf("%04o", t.Mode)
	}
	id, err := a.hub.WhoAmI(ctx)
	if errors.Is(err, hub.ErrUnauthorized) {
		s.State = AuthRejected
	}
	if err != nil {
		return s, err
	}
	s.State, s.AsOf = AuthAccepted, &id.AsOf
	s.Name, s.Type, s.TokenName, s.Role, s.Gated, s.Orgs = id.Name, id.Type, id.TokenName, id.Role, id.Gated, id.Orgs
	if !id.Expires.IsZero() {
		s.Expires = &id.Expires
	}
	return s, nil
}
