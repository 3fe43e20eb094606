package accesslog

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"irthub/internal/pg"
)

// leafVersion is the first line of every leaf. Another way of writing leaves needs
// another, since those there are must always come out the same.
const leafVersion = "irt-access/1"

// SaltSize is how many random bytes keep the personal parts of an entry from being
// guessed by their hash.
const SaltSize = 16

// Entry is an entry as it stands in audit_entries.
type Entry struct {
	ID         uuid.UUID
	Time       time.Time // to the microsecond
	Agency     string
	Role       string
	Purpose    string
	Method     string // "/irt.v1.ChildService/GetChild"
	Decision   string
	StatusCode int32
	Withheld   []string

	// The personal parts: they name or lead to people.
	Practitioner  string
	OnBehalfOf    string
	ClientAddress string
	RequestID     string
	Reason        string
	Children      []uuid.UUID
	Returned      []string
	Query         string // JSON, or ""
}

// entryColumns are the columns of audit_entries, as e, in the order of entryScan.
const entryColumns = `e.entry_id, e.entry_time, e.agency_id, e.role, e.purpose, e.method, e.decision, e.status_code, e.withheld,
	e.practitioner_id, e.on_behalf_of, e.client_address, e.request_id, e.reason, e.children, e.returned, e.query::text`

// entryScan reads rows that begin with what is before, and go on with entryColumns.
// All of those may be NULL, in an outer join: then there is no entry.
type entryScan struct {
	before  []any // and nothing for each column of an entry
	columns pg.Columns
}

var entryWidth = strings.Count(entryColumns, ",") + 1

func newEntryScan(before ...any) *entryScan {
	return &entryScan{before: append(before, make([]any, entryWidth)...)}
}

// scan fills e, and reports whether there is an entry.
func (s *entryScan) scan(rows pgx.Rows, e *Entry) (bool, error) {
	*e = Entry{}
	first := len(s.before) - entryWidth
	if first > 0 {
		if err := rows.Scan(s.before...); err != nil {
			return false, fmt.Errorf("accesslog: reading an entry: %w", err)
		}
	}
	c := &s.columns
	c.Of(rows)
	c.Skip(first)
	if c.Null() {
		return false, nil
	}
	e.ID, e.Time, e.Agency, e.Role, e.Purpose = c.UUID(), c.Time(), c.Text(), c.Text(), c.Text()
	e.Method, e.Decision, e.StatusCode, e.Withheld = c.Text(), c.Text(), c.Int32(), c.Texts()
	e.Practitioner, e.OnBehalfOf, e.ClientAddress = c.Text(), c.Text(), c.Text()
	e.RequestID, e.Reason = c.Text(), c.Text()
	for _, id := range c.UUIDs() {
		e.Children = append(e.Children, id)
	}
	e.Returned, e.Query = c.Texts(), c.Text()
	if err := c.Err(); err != nil {
		return false, fmt.Errorf("accesslog: reading an entry: %w", err)
	}
	return true, nil
}

// personal is the text of the personal parts, whose salted hash stands in the leaf.
func (e *Entry) personal() []byte {
	b := make([]byte, 0, 256+len(e.Query))
	b = line(b, "practitioner", e.Practitioner)
	b = line(b, "on-behalf-of", e.OnBehalfOf)
	b = line(b, "client-address", e.ClientAddress)
	b = line(b, "request-id", e.RequestID)
	b = line(b, "reason", e.Reason)
	for _, id := range e.Children {
		b = line(b, "child", id.String())
	}
	for _, name := range e.Returned {
		b = line(b, "returned", name)
	}
	return line(b, "query", e.Query)
}

// hasPersonal reports whether any personal part is there.
func (e *Entry) hasPersonal() bool {
	return e.Practitioner != "" || e.OnBehalfOf != "" || e.ClientAddress != "" || e.RequestID != "" || e.Reason != "" ||
		len(e.Children) > 0 || len(e.Returned) > 0 || e.Query != ""
}

// personalHash binds the personal parts.
func personalHash(salt, personal []byte) [sha256.Size]byte {
	h := sha256.New()
	_, _ = h.Write(salt) // a hash takes everything
	_, _ = h.Write(personal)
	return [sha256.Size]byte(h.Sum(nil))
}

// leaf is the text whose hash is the entry's leaf. It says nothing of a person.
func (e *Entry) leaf(personal [sha256.Size]byte) []byte {
	b := make([]byte, 0, 384)
	b = append(b, leafVersion...)
	b = append(b, '\n')
	b = line(b, "entry", e.ID.String())
	b = append(b, "time "...)
	b = e.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, '\n')
	b = line(b, "agency", e.Agency)
	b = line(b, "role", e.Role)
	b = line(b, "purpose", e.Purpose)
	b = line(b, "method", e.Method)
	b = line(b, "decision", e.Decision)
	b = line(b, "status", strconv.Itoa(int(e.StatusCode)))
	for _, rule := range e.Withheld {
		b = line(b, "withheld", rule)
	}
	return line(b, "personal", hex.EncodeToString(personal[:]))
}

// hash is the entry's leaf hash.
func (e *Entry) hash(salt []byte) tlog.Hash {
	return tlog.RecordHash(e.leaf(personalHash(salt, e.personal())))
}

// line writes "key value", or "key" where there is no value, so that no two entries
// have one text: in a value the percent sign and control characters stand as %XX.
func line(b []byte, key, value string) []byte {
	b = append(b, key...)
	if value != "" {
		b = append(b, ' ')
	}
	if plain(value) {
		b = append(b, value...)
		return append(b, '\n')
	}
	for i := range len(value) {
		if c := value[i]; special(c) {
			b = fmt.Appendf(b, "%%%02X", c)
		} else {
			b = append(b, c)
		}
	}
	return append(b, '\n')
}

func special(c byte) bool { return c < 0x20 || c == 0x7f || c == '%' }

func plain(s string) bool {
	for i := range len(s) {
		if special(s[i]) {
			return false
		}
	}
	return true
}
