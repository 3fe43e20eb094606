package exchange

import (
	"crypto/sha256"
	"hash"
	"io"
)

// ahead is more than anybody reads ahead of a place that is asked for, or than a row has
// that can be taken in.
const ahead = 512 << 10

// prefix is a reader that can tell the digest of what was read of a file up to any
// place that it has not passed yet, though whoever reads through it reads ahead. It
// holds what lies between: at most 1 MiB and what was read last, also of a row without an
// end.
type prefix struct {
	file io.Reader
	sum  hash.Hash
	held []byte
	at   int64 // where held begins
}

func newPrefix(file io.Reader) *prefix { return &prefix{file: file, sum: sha256.New()} }

// Read implements io.Reader.
func (p *prefix) Read(b []byte) (int, error) {
	n, err := p.file.Read(b)
	if p.held = append(p.held, b[:n]...); len(p.held) > 2*ahead {
		p.pass(p.at + int64(len(p.held)-ahead))
	}
	return n, err
}

// pass goes on to a place and gives what stands before it; that holds until the
// next Read.
func (p *prefix) pass(to int64) []byte {
	n := min(max(to-p.at, 0), int64(len(p.held)))
	passed := p.held[:n]
	_, _ = p.sum.Write(passed) // never fails
	p.held, p.at = p.held[n:], p.at+n
	return passed
}

// digest is that of everything passed.
func (p *prefix) digest() (d digest) {
	p.sum.Sum(d[:0])
	return d
}

type digest [sha256.Size]byte
