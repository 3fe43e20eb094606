package accesslog

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxCheckpoint bounds a checkpoint with all its signatures, in bytes.
const maxCheckpoint = 64 << 10

// Checkpoint is the size and root of the log's tree at an instant, signed by the
// hub: a signed note whose text is that of a C2SP tlog-checkpoint
// (https://c2sp.org/tlog-checkpoint). Witnesses may add signatures.
type Checkpoint struct {
	Origin string // which log it is: the name of the hub's key
	Size   int64
	Root   tlog.Hash
	Note   string // all of it, as signed
	// SignTime is when the hub signed it, by its own clock; zero where the
	// checkpoint comes from a file, which does not say.
	SignTime time.Time
}

// text is what is signed.
func (c *Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// sign makes the checkpoint of a tree.
func sign(keys *Keys, size int64, root tlog.Hash, now time.Time) (*Checkpoint, error) {
	c := &Checkpoint{Origin: keys.Name(), Size: size, Root: root, SignTime: now}
	signed, err := note.Sign(&note.Note{Text: c.text()}, keys.signer)
	if err != nil {
		return nil, fmt.Errorf("accesslog: signing a checkpoint: %w", err)
	}
	c.Note = string(signed)
	return c, nil
}

// OpenCheckpoint reads a checkpoint and checks that a known key has signed it, and
// that it is of the log that the key belongs to. Signatures by others may stand
// beside it.
func OpenCheckpoint(signed []byte, keys *Keys) (*Checkpoint, error) {
	if len(signed) > maxCheckpoint {
		return nil, fmt.Errorf("accesslog: a checkpoint has at most %d bytes", maxCheckpoint)
	}
	n, err := note.Open(signed, keys.verifiers)
	if err != nil {
		return nil, fmt.Errorf("accesslog: the checkpoint's signature: %w", describe(err))
	}
	c, err := parseText(n.Text)
	if err != nil {
		return nil, err
	}
	for _, s := range n.Sigs {
		if s.Name == c.Origin {
			c.Note = string(signed)
			return c, nil
		}
	}
	return nil, errors.New("accesslog: the checkpoint is signed with the key of another log")
}

// describe says in words what note says in types.
func describe(err error) error {
	if unverified, ok := errors.AsType[*note.UnverifiedNoteError](err); ok && len(unverified.Note.UnverifiedSigs) > 0 {
		s := unverified.Note.UnverifiedSigs[0]
		return fmt.Errorf("it is by the key %s+%08x, which is not known here", s.Name, s.Hash)
	}
	return err
}

var errCheckpointText = errors.New("accesslog: not a checkpoint: its text is three lines, the log's name, the size of its tree, its root")

// parseText reads what is signed. Lines after the third are extensions, which the
// hub does not make and does not heed.
func parseText(text string) (*Checkpoint, error) {
	origin, rest, ok1 := strings.Cut(text, "\n")
	sizeText, rest, ok2 := strings.Cut(rest, "\n")
	rootText, rest, ok3 := strings.Cut(rest, "\n")
	if !ok1 || !ok2 || !ok3 || origin == "" || rest != "" && (rest[0] == '\n' || !strings.HasSuffix(rest, "\n")) {
		return nil, errCheckpointText
	}
	size, err := strconv.ParseInt(sizeText, 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != sizeText {
		return nil, errCheckpointText
	}
	root, err := base64.StdEncoding.Strict().DecodeString(rootText)
	if err != nil || len(root) != tlog.HashSize || base64.StdEncoding.EncodeToString(root) != rootText {
		return nil, errCheckpointText
	}
	return &Checkpoint{Origin: origin, Size: size, Root: tlog.Hash(root)}, nil
}
