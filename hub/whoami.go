package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Identity is whom a token belongs to, and what it may do.
type Identity struct {
	Name      string
	Type      string    // "user", "org" or "app"
	TokenName string    // what its owner calls the token
	Role      string    // "read", "write" or "fineGrained"
	Gated     *bool     // of a fine-grained token: it may read gated repositories that its account may; nil = not said
	Orgs      []string  // the account's organisations
	Expires   time.Time // zero = not said
	AsOf      time.Time // when the hub said so
}

// identityLife is how long an identity is believed without asking again: the
// hub counts these questions strictly.
const identityLife = time.Hour

// WhoAmI asks whom the token belongs to. At most one request in an hour, when
// there is a cache; offline it is what was said last. Nothing else in this
// package asks it.
func (c *Client) WhoAmI(ctx context.Context) (Identity, error) {
	q := request{op: "ask who the token belongs to", limit: maxListing, url: c.join([]string{"api", "whoami-v2"})}
	if c.token.IsZero() {
		return Identity{}, &Error{Op: q.op, Kind: ErrUnauthorized, Reason: "there is no token"}
	}
	sum := sha256.Sum256([]byte(c.token.authorization()))
	key := "whoami " + c.Endpoint() + " " + hex.EncodeToString(sum[:])
	var v whoamiAnswer
	if kept, ok := c.cache.get(key); ok && json.Unmarshal(kept.body, &v) == nil {
		if at := time.Unix(kept.Time, 0); c.offline || time.Since(at).Abs() < identityLife {
			return v.identity(at), nil
		}
	}
	v = whoamiAnswer{}
	if _, err := c.getJSON(ctx, q, &v); err != nil {
		return Identity{}, err
	}
	if v.Name == "" {
		return Identity{}, q.fail(ErrNotHub, "the answer has no name")
	}
	now := time.Now()
	if body, err := json.Marshal(v); err == nil { // not what else the answer has, such as an e-mail address
		c.cache.put(cached{Key: key, Time: now.Unix(), body: body})
	}
	return v.identity(now), nil
}

// whoamiAnswer is what is of use of the answer of /api/whoami-v2.
type whoamiAnswer struct {
	Type string `json:"type"`
	Name string `json:"name"`
	Orgs []struct {
		Name string `json:"name"`
	} `json:"orgs"`
	Auth struct {
		ExpiresAt   string `json:"expiresAt,omitempty"`
		AccessToken struct {
			DisplayName string `json:"displayName"`
			Role        string `json:"role"`
			FineGrained *struct {
				CanReadGatedRepos *bool `json:"canReadGatedRepos"`
			} `json:"fineGrained,omitempty"`
		} `json:"accessToken"`
	} `json:"auth"`
}

func (v *whoamiAnswer) identity(at time.Time) Identity {
	t := v.Auth.AccessToken
	id := Identity{Name: printable(v.Name), Type: printable(v.Type), TokenName: printable(t.DisplayName), Role: printable(t.Role), AsOf: at}
	if t.FineGrained != nil {
		id.Gated = t.FineGrained.CanReadGatedRepos
	}
	for _, o := range v.Orgs[:min(len(v.Orgs), 100)] {
		id.Orgs = append(id.Orgs, printable(o.Name))
	}
	if at, err := time.Parse(time.RFC3339, v.Auth.ExpiresAt); err == nil {
		id.Expires = at
	}
	return id
}

// Token returns the token in use. It prints as its source.
func (c *Client) Token() Token { return c.token }
