package identity

import "time"

// SetClock lets tests make time pass.
func (a *Authenticator) SetClock(now func() time.Time) { a.now = now }

// The bounds that tests go up to.
const (
	KeysFresh = keysFresh
	CacheFor  = cacheFor
)

// MethodAccess reads the option of a method.
var MethodAccess = methodAccess

// CachedTokens is how many tokens are remembered.
func (a *Authenticator) CachedTokens() int {
	a.verified.mu.Lock()
	defer a.verified.mu.Unlock()
	return len(a.verified.young) + len(a.verified.old)
}
