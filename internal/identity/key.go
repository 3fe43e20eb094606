package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
)

// OwnIssuer is the iss claim of tokens that the hub issues itself, and Audience
// the aud claim that every token must have.
const (
	OwnIssuer = "irthub"
	Audience  = "irthub"
)

const keyFile = "token-key.pem"

// SigningKey is the hub's own key (ES256: P-256 with SHA-256), for hubs without an
// OpenID Connect issuer. Whoever can read its file can act as anybody.
type SigningKey struct {
	private *ecdsa.PrivateKey
	id      string // RFC 7638 thumbprint of the public key
	signer  jose.Signer
}

// LoadOrCreateKey reads the key in dir, or makes one where there is none: a PEM
// file that only its owner may read, in a directory that only its owner may enter.
// Two processes that start together get the same key.
func LoadOrCreateKey(dir string) (*SigningKey, error) {
	path := filepath.Join(dir, keyFile)
	key, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("identity: making the key directory: %w", err)
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	if err := createKey(dir, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("identity: making the signing key: %w", err)
	}
	return loadKey(path)
}

// checkDir refuses a directory in which anybody could put another key in the
// place of the hub's.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("identity: the key directory: %w", err)
	}
	if info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("identity: everybody may write to %s, where the signing key is kept: chmod o-w it", dir)
	}
	return nil
}

// createKey writes a new key under a temporary name and links it to its own,
// which fails, with fs.ErrExist, if another process was first. A reader never
// sees half a key.
func createKey(dir, path string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, keyFile+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the new name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func loadKey(path string) (*SigningKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("identity: reading the signing key: %w", err)
	}
	if err := checkDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("identity: other users may read the signing key %s: chmod 600 it, "+
			"or remove it to have a new one made", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("identity: reading the signing key: %w", err)
	}
	key, err := parseKey(data)
	if err != nil {
		return nil, fmt.Errorf("identity: %s: %w", path, err)
	}
	return key, nil
}

func parseKey(data []byte) (*SigningKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("not a PEM file")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("not a PKCS #8 private key") // the cause might quote it
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, errors.New("not a P-256 key")
	}
	return newSigningKey(private)
}

func newSigningKey(private *ecdsa.PrivateKey) (*SigningKey, error) {
	sum, err := (&jose.JSONWebKey{Key: private.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("thumbprint: %w", err)
	}
	k := &SigningKey{private: private, id: base64.RawURLEncoding.EncodeToString(sum)}
	k.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: k.id}},
		(&jose.SignerOptions{}).WithType("at+jwt")) // RFC 9068
	if err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	return k, nil
}

// Claims are what a token of the hub's own says.
type Claims struct {
	Agency       string // the agency's id
	Practitioner string // the practitioner's id in that agency; the role practitioner needs it
	Role         irtv1.Role
	TTL          time.Duration // one hour if zero, at most MaxLifetime
	// BoundTo is the thumbprint of the client certificate with which alone it is
	// good, or "".
	BoundTo string
}

// Issue makes a token, valid from now. Claims that the hub would refuse are an
// error here, naming what is wrong.
func (k *SigningKey) Issue(c Claims) (string, error) {
	if c.TTL == 0 {
		c.TTL = time.Hour
	}
	switch {
	case !resourceID.MatchString(c.Agency):
		return "", errors.New("identity: an agency's id has 1 to 63 letters, digits and the signs - . _")
	case c.Practitioner != "" && !resourceID.MatchString(c.Practitioner):
		return "", errors.New("identity: a practitioner's id has 1 to 63 letters, digits and the signs - . _")
	case RoleText(c.Role) == "":
		return "", fmt.Errorf("identity: the role is one of %s", strings.Join(RoleTexts(), ", "))
	case c.Role == irtv1.Role_ROLE_PRACTITIONER && c.Practitioner == "":
		return "", errors.New("identity: the role practitioner needs a practitioner")
	case c.TTL < 0 || c.TTL > MaxLifetime:
		return "", fmt.Errorf("identity: a token is valid for at most %v", MaxLifetime)
	}
	return k.sign(c, time.Now())
}

func (k *SigningKey) sign(c Claims, now time.Time) (string, error) {
	subject := "agencies/" + c.Agency
	if c.Practitioner != "" {
		subject += "/practitioners/" + c.Practitioner
	}
	var bound *confirmation
	if c.BoundTo != "" {
		bound = &confirmation{Certificate: c.BoundTo}
	}
	payload, err := json.Marshal(claims{
		Issuer: OwnIssuer, Subject: subject, Audience: jwt.Audience{Audience},
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(c.TTL)),
		ID: uuid.NewString(), Agency: c.Agency, Practitioner: c.Practitioner, Role: RoleText(c.Role), Confirmation: bound,
	})
	if err != nil {
		return "", fmt.Errorf("identity: writing claims: %w", err)
	}
	signed, err := k.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("identity: signing: %w", err)
	}
	return signed.CompactSerialize()
}

// verify returns the payload of a token signed by this key.
func (k *SigningKey) verify(raw string) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, errToken("it is not signed with ES256")
	}
	payload, err := signed.Verify(k.private.Public())
	if err != nil {
		return nil, errToken("its signature is not this hub's")
	}
	return payload, nil
}
