package identity_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
)

func TestTheKeyIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data", "keys")
	if _, err := identity.LoadOrCreateKey(dir); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is %v, %v; want 0700", info.Mode().Perm(), err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("want one file, got %v, %v", files, err)
	}
	if info, err := files[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v; want 0600", info.Mode().Perm(), err)
	}
}

func TestTheKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	tokens := make([]string, 16)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			key, err := identity.LoadOrCreateKey(dir)
			if err != nil {
				t.Error(err)
				return
			}
			if tokens[i], err = key.Issue(identity.Claims{Agency: "a", Role: irtv1.Role_ROLE_AUDITOR}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	public := readKey(t, dir).Public()
	for _, raw := range tokens {
		signed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signed.Verify(public); err != nil {
			t.Error("processes that started together have different keys")
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

func TestAKeyThatCannotBeTrustedIsAnError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(path string) error
		says  string
	}{
		"readable by others":       {func(p string) error { return os.Chmod(p, 0o640) }, "chmod 600"},
		"in everybody's directory": {func(p string) error { return os.Chmod(filepath.Dir(p), 0o777) }, "chmod o-w"},
		"empty":                    {func(p string) error { return os.WriteFile(p, nil, 0o600) }, "PEM"},
		"of another kind": {func(p string) error {
			return os.WriteFile(p, []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), 0o600)
		}, "PKCS #8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "keys")
			if _, err := identity.LoadOrCreateKey(dir); err != nil {
				t.Fatal(err)
			}
			files, _ := filepath.Glob(filepath.Join(dir, "*.pem"))
			if err := c.spoil(files[0]); err != nil {
				t.Fatal(err)
			}
			if _, err := identity.LoadOrCreateKey(dir); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want an error that says %q", err, c.says)
			}
		})
	}
}
