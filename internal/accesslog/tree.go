package accesslog

import (
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	// tileHeight is that of C2SP tlog-tiles: a tile is the hashes of 256 neighbours.
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	tileBytes  = tileWidth * tlog.HashSize
)

// tile is a row of audit_tiles.
type tile struct {
	level  int
	index  int64
	hashes []byte
}

// tree is the right edge of a Merkle tree, all that is needed to let it grow: of
// each level the tile that is not full yet, and the roots of the whole subtrees
// from left to right, from which the root follows.
type tree struct {
	size    int64
	levels  [][]byte
	subtree []tlog.Hash
	full    []tile // tiles that were filled since changed was called
}

// push appends a leaf.
func (t *tree) push(h tlog.Hash) {
	n := t.size
	t.size++
	t.hang(0, h)
	for height := 1; n&1 == 1; height++ {
		last := len(t.subtree) - 1
		h = tlog.NodeHash(t.subtree[last], h)
		t.subtree = t.subtree[:last]
		n >>= 1
		if height%tileHeight == 0 {
			t.hang(height/tileHeight, h)
		}
	}
	t.subtree = append(t.subtree, h)
}

// hang puts a hash at the end of a level.
func (t *tree) hang(level int, h tlog.Hash) {
	if level == len(t.levels) {
		t.levels = append(t.levels, nil)
	}
	t.levels[level] = append(t.levels[level], h[:]...)
	if len(t.levels[level]) == tileBytes {
		last := (t.size >> (level * tileHeight)) - 1
		t.full = append(t.full, tile{level, last / tileWidth, t.levels[level]})
		t.levels[level] = nil
	}
}

// root is the hash of the whole tree.
func (t *tree) root() tlog.Hash {
	if t.size == 0 {
		h, _ := tlog.TreeHash(0, nil) // the hash of nothing reads nothing
		return h
	}
	h := t.subtree[len(t.subtree)-1]
	for i := len(t.subtree) - 2; i >= 0; i-- {
		h = tlog.NodeHash(t.subtree[i], h)
	}
	return h
}

// changed gives the tiles to be stored after leaves were pushed: those that were
// filled, and those that grow.
func (t *tree) changed() []tile {
	out := t.full
	t.full = nil
	for level, hashes := range t.levels {
		if len(hashes) > 0 {
			out = append(out, tile{level, t.size >> ((level + 1) * tileHeight), hashes})
		}
	}
	return out
}

// dropLeafTiles forgets the full tiles of leaves, for who has compared them already.
func (t *tree) dropLeafTiles() {
	t.full = slices.DeleteFunc(slices.Clone(t.full), func(f tile) bool { return f.level == 0 })
}

// clone is a copy that grows by itself.
func (t *tree) clone() *tree {
	c := &tree{size: t.size, subtree: slices.Clone(t.subtree), full: slices.Clip(t.full)}
	for _, hashes := range t.levels {
		c.levels = append(c.levels, append(make([]byte, 0, tileBytes), hashes...))
	}
	return c
}

// growing names the tiles that a tree of some size has not filled: their level,
// index and how many hashes they hold.
func growing(size int64) (tiles []tile, widths []int) {
	for level := 0; size>>(level*tileHeight) > 0; level++ {
		width := int(size >> (level * tileHeight) & (tileWidth - 1))
		if width > 0 {
			tiles = append(tiles, tile{level: level, index: size >> ((level + 1) * tileHeight)})
			widths = append(widths, width)
		}
	}
	return tiles, widths
}

// restore makes the edge of a tree from the tiles that growing named.
func restore(size int64, tiles []tile) (*tree, error) {
	t := &tree{size: size}
	want, widths := growing(size)
	if len(tiles) != len(want) {
		return nil, fmt.Errorf("accesslog: %d of the tree's growing tiles are there, of %d", len(tiles), len(want))
	}
	for level := 0; size>>(level*tileHeight) > 0; level++ {
		t.levels = append(t.levels, nil)
	}
	for i := len(want) - 1; i >= 0; i-- { // the highest level stands leftmost
		got := tiles[i]
		if got.level != want[i].level || got.index != want[i].index || len(got.hashes) != widths[i]*tlog.HashSize {
			return nil, fmt.Errorf("accesslog: tile %d of level %d has not the %d hashes it should", want[i].index, want[i].level, widths[i])
		}
		t.levels[got.level] = append(make([]byte, 0, tileBytes), got.hashes...)
		t.subtree = append(t.subtree, subtrees(got.hashes)...)
	}
	return t, nil
}

// subtrees are the roots of the whole subtrees over the hashes of a tile, the
// largest first.
func subtrees(hashes []byte) (roots []tlog.Hash) {
	for width := len(hashes) / tlog.HashSize; width > 0; {
		largest := 1
		for largest*2 <= width {
			largest *= 2
		}
		roots = append(roots, wholeRoot(hashes[:largest*tlog.HashSize]))
		hashes = hashes[largest*tlog.HashSize:]
		width -= largest
	}
	return roots
}

// wholeRoot is the root over hashes whose number is a power of two.
func wholeRoot(hashes []byte) tlog.Hash {
	if len(hashes) == tlog.HashSize {
		return tlog.Hash(hashes)
	}
	half := len(hashes) / 2
	return tlog.NodeHash(wholeRoot(hashes[:half]), wholeRoot(hashes[half:]))
}
