package accesslog

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

const (
	keyFile       = "access-log.key"
	verifiersFile = "access-log.verifiers"
)

// Keys are what checkpoints are signed and checked with: Ed25519, in the forms of
// golang.org/x/mod/sumdb/note. The signing key is kept in the hub's data directory
// and never in the database, since whoever owns the database is who the log guards
// against.
type Keys struct {
	name      string
	own       string // the verifier key of signer
	signer    note.Signer
	verifiers note.Verifiers
	known     []string
}

// Name is the name of the log, which is that of its keys.
func (k *Keys) Name() string { return k.name }

// VerifierKey is the key that the hub's checkpoints are checked with, to be given
// to whoever keeps them.
func (k *Keys) VerifierKey() string { return k.own }

// CanSign reports whether the signing key is here.
func (k *Keys) CanSign() bool { return k.signer != nil }

// LoadOrCreateKeys reads the keys in dir, making the signing key where there is
// none. Two processes that start together get the same one.
func LoadOrCreateKeys(dir string) (*Keys, error) {
	if _, err := os.Stat(filepath.Join(dir, keyFile)); errors.Is(err, fs.ErrNotExist) {
		id := make([]byte, 6)
		_, _ = rand.Read(id) // never fails
		if err := createKey(dir, "irthub/"+hex.EncodeToString(id), os.Link); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("accesslog: making the key of the access log: %w", err)
		}
	}
	return LoadKeys(dir)
}

// LoadKeys reads the signing key in dir, if it is there, and the verifier keys
// beside it: those given, and those of access-log.verifiers, one a line, by which
// checkpoints of keys before this one are known. Without any key at all it fails
// with fs.ErrNotExist.
func LoadKeys(dir string, given ...string) (*Keys, error) {
	k := &Keys{}
	secret, err := readSecret(filepath.Join(dir, keyFile))
	switch {
	case err == nil:
		if err := k.setSigner(strings.TrimSpace(string(secret))); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	more, err := os.ReadFile(filepath.Join(dir, verifiersFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("accesslog: reading %s: %w", verifiersFile, err)
	}
	return k, k.setVerifiers(append(given, strings.Fields(string(more))...))
}

// readSecret refuses a file that others could have read.
func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("accesslog: other users may read %s: chmod 600 it", path)
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("accesslog: reading the key of the access log: %w", err)
	}
	return secret, nil
}

// NewKeys are keys of a name, made for now and kept nowhere.
func NewKeys(name string) (*Keys, error) {
	secret, _, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, fmt.Errorf("accesslog: making a key: %w", err)
	}
	k := &Keys{}
	if err := k.setSigner(secret); err != nil {
		return nil, err
	}
	return k, k.setVerifiers(nil)
}

// VerifierKeys are keys that can check and not sign.
func VerifierKeys(verifiers ...string) (*Keys, error) {
	k := &Keys{}
	return k, k.setVerifiers(verifiers)
}

// setVerifiers makes known the own key and others.
func (k *Keys) setVerifiers(others []string) error {
	var all []note.Verifier
	seen := map[string]bool{"": true}
	for _, text := range append([]string{k.own}, others...) {
		if seen[text] {
			continue
		}
		seen[text] = true
		v, err := note.NewVerifier(text)
		if err != nil {
			return fmt.Errorf("accesslog: a verifier key is not of the form NAME+HASH+KEY: %w", err)
		}
		all = append(all, v)
		k.known = append(k.known, text)
	}
	if len(all) == 0 {
		return fmt.Errorf("accesslog: no key of the access log: %w", fs.ErrNotExist)
	}
	if k.own == "" {
		k.name, k.own = all[0].Name(), k.known[0]
	}
	k.verifiers = note.VerifierList(all...)
	return nil
}

// setSigner takes the secret, PRIVATE+KEY+NAME+HASH+KEY, and derives what checks it.
func (k *Keys) setSigner(secret string) error {
	signer, err := note.NewSigner(secret)
	if err != nil {
		return fmt.Errorf("accesslog: %s holds no signing key", keyFile) // err might quote it
	}
	parts := strings.SplitN(secret, "+", 5) // PRIVATE, KEY, name, hash, key: a base64 text may hold a plus sign
	seed, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return fmt.Errorf("accesslog: %s holds no signing key", keyFile)
	}
	public, ok := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return fmt.Errorf("accesslog: %s holds no signing key", keyFile)
	}
	own, err := note.NewEd25519VerifierKey(signer.Name(), public)
	if err != nil {
		return fmt.Errorf("accesslog: %s: %w", keyFile, err)
	}
	k.signer, k.name, k.own = signer, signer.Name(), own
	return nil
}

// RollKey puts a new signing key in the place of that in dir, under the same name,
// and the old one's verifier key among those known: checkpoints of both are good.
// Hubs must be given the new key, and begin to use it when they are started again;
// whoever checks checkpoints needs the new verifier key.
func RollKey(dir string) (*Keys, error) {
	old, err := LoadKeys(dir)
	if err != nil {
		return nil, err
	}
	if !old.CanSign() {
		return nil, fmt.Errorf("accesslog: there is no signing key in %s to follow upon: %w", dir, fs.ErrNotExist)
	}
	f, err := os.OpenFile(filepath.Join(dir, verifiersFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("accesslog: keeping the old verifier key: %w", err)
	}
	_, err = f.WriteString(old.own + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("accesslog: keeping the old verifier key: %w", err)
	}
	if err := createKey(dir, old.name, os.Rename); err != nil {
		return nil, fmt.Errorf("accesslog: making the key of the access log: %w", err)
	}
	return LoadKeys(dir)
}

// createKey makes a signing key under a temporary name and places it under its own:
// by os.Link, which fails with fs.ErrExist if another process was first, or by
// os.Rename.
func createKey(dir, name string, place func(from, to string) error) error {
	secret, _, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, keyFile+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // the key has its own name by then
	_, err = f.WriteString(secret + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return place(f.Name(), filepath.Join(dir, keyFile))
}
