package rpc

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
)

// PageSize is the size of a page: def where none is asked for, never over max.
func PageSize(asked, def, most int32) int32 {
	if asked <= 0 {
		return def
	}
	return min(asked, most)
}

// PageTokens seals the position in a list into a token and opens it again. A
// token says nothing to its holder (a position may hold a person's name), grants
// nothing (every page is authorised anew), and fits only the method and arguments
// it was made for, page_size apart.
type PageTokens struct {
	aead cipher.AEAD
}

// pageTokenKey is the name of the key in hub_keys.
const pageTokenKey = "page-tokens"

// maxCursor keeps a token below the 500 characters that requests allow.
const maxCursor = 320

// LoadPageTokens takes the key from the database, so that every process of a hub
// can open the tokens of every other; the first one makes it.
func LoadPageTokens(ctx context.Context, pool *pgxpool.Pool) (*PageTokens, error) {
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails
	if _, err := pool.Exec(ctx,
		"INSERT INTO hub_keys (name, key) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", pageTokenKey, fresh); err != nil {
		return nil, fmt.Errorf("rpc: making the page token key: %w", err)
	}
	var key []byte
	if err := pool.QueryRow(ctx, "SELECT key FROM hub_keys WHERE name = $1", pageTokenKey).Scan(&key); err != nil {
		return nil, fmt.Errorf("rpc: reading the page token key: %w", err)
	}
	return NewPageTokens(key)
}

// NewPageTokens uses the given key, 32 bytes long.
func NewPageTokens(key []byte) (*PageTokens, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("rpc: page token key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("rpc: page token key: %w", err)
	}
	return &PageTokens{aead}, nil
}

// Encode makes the next_page_token of a list, from which Decode gives cursor
// back, for the same method and the same request. A cursor has at most 320 bytes;
// an empty one is no position.
func (p *PageTokens) Encode(method string, req proto.Message, cursor []byte) (string, error) {
	if len(cursor) > maxCursor {
		return "", fmt.Errorf("rpc: a cursor of %d bytes is too long for a page token", len(cursor))
	}
	bound, err := binding(method, req)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(p.aead.Seal(nil, nil, cursor, bound)), nil //nolint:gosec // the nonce is random: NewGCMWithRandomNonce
}

// Decode opens the page_token of a request: nil for the first page, and
// PAGE_TOKEN_INVALID for a token that is damaged, foreign or of other arguments.
func (p *PageTokens) Decode(method string, req proto.Message, token string) (cursor []byte, err error) {
	if token == "" {
		return nil, nil
	}
	bound, err := binding(method, req)
	if err != nil {
		return nil, err
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return nil, errPageToken()
	}
	cursor, err = p.aead.Open(nil, nil, sealed, bound)
	if err != nil {
		return nil, errPageToken()
	}
	return cursor, nil
}

func errPageToken() error {
	return Error(codes.InvalidArgument, irtv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID,
		"The page_token is damaged, or belongs to a list with other arguments. "+
			"Ask with the arguments of the page before, or begin again without a page_token.")
}

// binding is what a token is tied to: the method and the request without its
// page_token and page_size, which change from page to page.
func binding(method string, req proto.Message) ([]byte, error) {
	if req == nil {
		return nil, errors.New("rpc: a page token needs the request it belongs to")
	}
	rest := proto.Clone(req).ProtoReflect()
	for _, name := range []protoreflect.Name{"page_token", "page_size"} {
		if f := rest.Descriptor().Fields().ByName(name); f != nil {
			rest.Clear(f)
		}
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(rest.Interface())
	if err != nil {
		return nil, fmt.Errorf("rpc: marshalling a list request: %w", err)
	}
	sum := sha256.Sum256(append([]byte(method+"\x00"), b...))
	return sum[:], nil
}
