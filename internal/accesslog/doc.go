// Package accesslog makes the access log tamper-evident. Every entry that package
// audit writes becomes a leaf of a Merkle tree (RFC 6962, by golang.org/x/mod's
// tlog), and the hub signs the tree's size and root (C2SP tlog-checkpoint): who
// keeps one checkpoint can tell for ever after whether an entry that it covers was
// removed, altered, moved or slipped in.
//
// The tree is built behind, by one Sequencer at a time across all processes of a
// hub, so that no call waits for it. Verify recomputes all of it. Purge forgets the
// personal parts of old entries, and the tree stands.
//
// docs/ACCESS-LOG.md says what a leaf is made of and how a proof is checked.
package accesslog
