package identity

import (
	"encoding/json"
	"time"

	irtv1 "irthub/gen/irt/v1"
)

// SetClock lets tests make time pass.
func (a *Authenticator) SetClock(now func() time.Time) { a.now = now }

// The bounds that tests go up to.
const (
	KeysFresh = keysFresh
	KeysStale = keysStale
	KeysDead  = keysDead
	CacheFor  = cacheFor
)

// CallerOf is whom an issuer's claims are taken for, signature and times apart.
func CallerOf(payload []byte, by Issuer) (agency string, role irtv1.Role, err error) {
	i := newIssuer(by, nil, time.Now)
	translated, err := i.translate(payload)
	if err != nil {
		return "", 0, err
	}
	var c claims
	if err := json.Unmarshal(translated, &c); err != nil {
		return "", 0, err
	}
	role, _ = ParseRole(c.Role)
	if !i.mayName(c.Agency, role) {
		return "", 0, errToken("")
	}
	return c.Agency, role, nil
}

// MethodAccess reads the option of a method.
var MethodAccess = methodAccess

// CachedTokens is how many tokens are remembered.
func (a *Authenticator) CachedTokens() int {
	a.verified.mu.Lock()
	defer a.verified.mu.Unlock()
	return len(a.verified.young) + len(a.verified.old)
}
