package exchange

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"hash"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/text/unicode/norm"

	irtv1 "irthub/gen/irt/v1"
)

// localIDKey is the name, in hub_keys, of the key that local ids are made with.
const localIDKey = "import-local-id"

// localIDs makes local ids for rows that come without one, out of who the child
// is: the same child in the next file gets the same id, so that sending a file
// again changes nothing and a new address, school or spelling of a carer updates
// the record. Whoever lacks the key cannot tell a child from an id, nor try out
// names or NHS numbers on it.
//
// With an NHS number the id stands for agency, number, given name and date of
// birth: the given name and date keep twins apart whom a file gives one number.
// Without one it stands for agency, given name, family name and date of birth. A
// child whose number, name or date of birth is corrected therefore gets a second
// record, which matching links to the same child; the other way round, two
// children in one record, could not be put right.
//
// What goes into an id must never change: every child of every file would become
// a second record.
type localIDs struct {
	mac hash.Hash
	sum [sha256.Size]byte
	buf []byte
}

// loadLocalIDs takes the key from the database; the first import makes it, also
// where several processes are the first at once.
func loadLocalIDs(ctx context.Context, pool *pgxpool.Pool) (*localIDs, error) {
	key, err := readLocalIDKey(ctx, pool)
	if errors.Is(err, pgx.ErrNoRows) {
		fresh := make([]byte, 32)
		_, _ = rand.Read(fresh) // never fails
		_, err = pool.Exec(ctx, `INSERT INTO hub_keys (name, key) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, localIDKey, fresh)
		if err == nil {
			key, err = readLocalIDKey(ctx, pool)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("exchange: the key of local ids: %w", err)
	}
	return newLocalIDs(key), nil
}

func readLocalIDKey(ctx context.Context, pool *pgxpool.Pool) (key []byte, err error) {
	err = pool.QueryRow(ctx, `SELECT key FROM hub_keys WHERE name = $1`, localIDKey).Scan(&key)
	return key, err
}

func newLocalIDs(key []byte) *localIDs { return &localIDs{mac: hmac.New(sha256.New, key)} }

var localIDText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// of makes the local id of a normalised record: "cohort-" and 26 letters and
// digits.
func (l *localIDs) of(agency string, r *irtv1.ChildRecord) string {
	b := append(l.buf[:0], agency...)
	if r.GetNhsNumber() != "" {
		b = append(append(b, "\x00n\x00"...), r.GetNhsNumber()...)
		b = appendFolded(append(b, 0), r.GetGivenName())
	} else {
		b = appendFolded(append(b, "\x00p\x00"...), r.GetGivenName())
		b = appendFolded(append(b, 0), r.GetFamilyName())
	}
	b = append(append(b, 0), r.GetDateOfBirth()...)
	l.buf = b
	l.mac.Reset()
	_, _ = l.mac.Write(b) // never fails
	sum := l.mac.Sum(l.sum[:0])
	text := append(b[:0], "cohort-"...)
	l.buf = localIDText.AppendEncode(text, sum[:16])
	return string(l.buf)
}

// appendFolded adds the letters and digits of a name, in lower case and without
// accents, so that "Zoë O'Neill" and "ZOE ONEILL" are one; of a name that has
// neither, all of it.
func appendFolded(b []byte, name string) []byte {
	start := len(b)
	if !isASCII(name) {
		name = norm.NFKD.String(strings.ToValidUTF8(name, ""))
	}
	for _, c := range name {
		if unicode.IsLetter(c) || unicode.IsDigit(c) {
			b = utf8.AppendRune(b, unicode.ToLower(c))
		}
	}
	if len(b) == start {
		b = append(b, name...)
	}
	return b
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
