package identity

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// cacheHalf bounds the cache: it holds at most twice as many tokens.
	cacheHalf = 8192
	// cacheFor bounds how long a token is believed without being verified again,
	// so that an issuer's withdrawn key is dropped in that time.
	cacheFor = time.Minute
)

// cache remembers verified tokens, since a signature costs more to verify than
// all else of a read. It holds hashes of tokens, not the tokens. Of two
// generations, the older is dropped whole when the younger is full.
type cache struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]cached
}

type cached struct {
	token *token
	until time.Time
}

func (c *cache) get(sum [sha256.Size]byte, now time.Time) (*token, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.young[sum]
	if !ok {
		if e, ok = c.old[sum]; ok {
			c.store(sum, e)
		}
	}
	return e.token, ok && now.Before(e.until)
}

func (c *cache) put(sum [sha256.Size]byte, t *token, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store(sum, cached{t, now.Add(cacheFor)})
}

func (c *cache) store(sum [sha256.Size]byte, e cached) {
	if c.young == nil || len(c.young) >= cacheHalf {
		c.old, c.young = c.young, make(map[[sha256.Size]byte]cached)
	}
	c.young[sum] = e
}
