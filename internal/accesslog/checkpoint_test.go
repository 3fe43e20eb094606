package accesslog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"irthub/internal/accesslog"
)

// What is opened is what was signed, with the signatures of witnesses beside it.
func TestCheckpointRoundTrip(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.write(t, 5)
	accesslog.Integrate(t, b.pool, b.keys)
	stored, err := accesslog.LastCheckpoint(t.Context(), b.pool)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{stored.Note, stored.Note + "— witness.example AAAAAAAA\n"} {
		c, err := accesslog.OpenCheckpoint([]byte(text), b.keys)
		if err != nil || c.Size != 5 || c.Root != stored.Root || c.Note != text || c.Origin != b.keys.Name() {
			t.Errorf("%+v, %v", c, err)
		}
	}
	for _, bad := range []string{
		"", "x", strings.Replace(stored.Note, "\n5\n", "\n6\n", 1), strings.Replace(stored.Note, "\n5\n", "\n05\n", 1),
		strings.TrimSuffix(stored.Note, "\n"), stored.Note + stored.Note, strings.ReplaceAll(stored.Note, "\n", "\r\n"),
	} {
		if c, err := accesslog.OpenCheckpoint([]byte(bad), b.keys); err == nil {
			t.Errorf("opened %q as %+v", bad, c)
		}
	}
}

// The secret key is nobody else's to read, and a verifier can only check.
func TestKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keys, err := accesslog.LoadOrCreateKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "access-log.key")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	again, err := accesslog.LoadOrCreateKeys(dir)
	if err != nil || again.VerifierKey() != keys.VerifierKey() {
		t.Errorf("%v: another key the second time", err)
	}
	public, err := accesslog.LoadKeys(t.TempDir(), keys.VerifierKey())
	if err != nil || public.CanSign() || public.Name() != keys.Name() {
		t.Errorf("%+v, %v", public, err)
	}
	if _, err := accesslog.LoadKeys(t.TempDir()); !os.IsNotExist(err) && err == nil {
		t.Error("keys out of nothing")
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := accesslog.LoadOrCreateKeys(dir); err == nil {
		t.Error("a key that everybody can read was taken")
	}
}

func FuzzCheckpoint(f *testing.F) {
	dir := f.TempDir()
	keys, err := accesslog.LoadOrCreateKeys(dir)
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{"a\n1\n", "log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", "log\n-1\nAA==\n", "log\n7\n\n\n", "\n\n\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := accesslog.SignAndOpen(keys, text)
		if err != nil {
			return
		}
		// What is read says all that was signed, but for extensions.
		if canonical := accesslog.Text(c); !strings.HasPrefix(text, canonical) || c.Size < 0 {
			t.Errorf("%q was read as %q", text, canonical)
		}
		_, _ = accesslog.OpenCheckpoint([]byte(text), keys)
	})
}
