package identity

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"
)

func TestTheCacheIsBoundedAndKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	var c cache
	now := time.Now()
	sum := func(i int) [sha256.Size]byte { return sha256.Sum256(fmt.Append(nil, i)) }
	used := &token{agency: "used"}
	c.put(sum(-1), used, now)
	for i := range 3 * cacheHalf {
		c.put(sum(i), &token{}, now)
		if n := len(c.young) + len(c.old); n > 2*cacheHalf {
			t.Fatalf("after %d tokens the cache holds %d", i, n)
		}
		if got, ok := c.get(sum(-1), now); !ok || got != used {
			t.Fatalf("after %d tokens one that is used all the time is gone", i)
		}
	}
	if _, ok := c.get(sum(0), now); ok {
		t.Error("one that was used once is still there")
	}
	if _, ok := c.get(sum(-1), now.Add(cacheFor)); ok {
		t.Error("one that was verified long ago is believed")
	}
}
