package webhooks

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"
)

const (
	keyFile  = "webhook-key.pem"
	keyBlock = "IRTHUB WEBHOOK KEY"
	keySize  = 32
)

// Key seals the secrets of subscriptions, so that who has the database, or a backup
// of it, can sign nothing. It is a file of the hub's data directory; hubs that share
// a database need the same.
type Key struct{ aead cipher.AEAD }

// LoadOrCreateKey reads the key in dir, making it where there is none. Two processes
// that start together get the same one.
func LoadOrCreateKey(dir string) (*Key, error) {
	path := filepath.Join(dir, keyFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := createKey(dir, path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("webhooks: making the key: %w", err)
		}
	}
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("webhooks: other users may read %s: chmod 600 it", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("webhooks: reading the key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != keyBlock || len(block.Bytes) != keySize {
		return nil, fmt.Errorf("webhooks: %s holds no key", path)
	}
	return newKey(block.Bytes)
}

func newKey(secret []byte) (*Key, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("webhooks: key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("webhooks: key: %w", err)
	}
	return &Key{aead}, nil
}

// createKey writes a whole file or none: under another name first.
func createKey(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	secret := make([]byte, keySize)
	_, _ = rand.Read(secret) // never fails
	draft, err := os.CreateTemp(dir, keyFile+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft.Name()) }()
	if err := errors.Join(pem.Encode(draft, &pem.Block{Type: keyBlock, Bytes: secret}), draft.Sync(), draft.Close()); err != nil {
		return err
	}
	return os.Link(draft.Name(), path)
}

// seal seals the secret of a subscription.
func (k *Key) seal(subscription uuid.UUID, secret []byte) []byte {
	return k.aead.Seal(nil, nil, secret, subscription[:]) //nolint:gosec // the nonce is random: NewGCMWithRandomNonce
}

// open opens what seal sealed for the same subscription.
func (k *Key) open(subscription uuid.UUID, sealed []byte) ([]byte, error) {
	secret, err := k.aead.Open(nil, nil, sealed, subscription[:])
	if err != nil {
		return nil, fmt.Errorf("webhooks: a secret was sealed with another key than that in %s: %w", keyFile, err)
	}
	return secret, nil
}
