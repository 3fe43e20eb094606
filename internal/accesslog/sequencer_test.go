package accesslog_test

import (
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"irthub/internal/accesslog"
)

// An entry's proof convinces code that knows nothing of the hub: tlog and note.
func TestProofIsCheckedByOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	all := b.write(t, 700)
	b.sequenced(t, 700)
	all = append(all, b.write(t, 70_000)...) // into the third level
	b.sequenced(t, 70_700)
	verifier, err := note.NewVerifier(b.keys.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 255, 256, 699, 700, 65_535, 65_536, 70_699} {
		p, err := accesslog.Prove(t.Context(), b.pool, all[i].ID(), 0)
		if err != nil {
			t.Fatal(err)
		}
		n, err := note.Open([]byte(p.Checkpoint.Note), note.VerifierList(verifier))
		if err != nil {
			t.Fatal(err)
		}
		if n.Text != b.keys.Name()+"\n70700\n"+p.Checkpoint.Root.String()+"\n" {
			t.Errorf("the checkpoint says %q", n.Text)
		}
		if err := tlog.CheckRecord(p.Hashes, p.Checkpoint.Size, p.Checkpoint.Root, p.Index, tlog.RecordHash(p.Leaf)); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
}
