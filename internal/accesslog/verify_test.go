package accesslog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"irthub/internal/accesslog"
	"irthub/internal/audit"
)

func (b *bundle) verify(t testing.TB, o accesslog.Options) *accesslog.Report {
	t.Helper()
	r, err := accesslog.Verify(t.Context(), b.pool, b.keys, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// filled is a log of 700 entries under two checkpoints, at rest.
func filled(t *testing.T) (*bundle, []*audit.Entry) {
	t.Helper()
	b := setup(t)
	all := b.write(t, 300)
	accesslog.Integrate(t, b.pool, b.keys)
	all = append(all, b.write(t, 400)...)
	accesslog.Integrate(t, b.pool, b.keys)
	return b, all
}

// leaf is the entry at a place of the tree.
func (b *bundle) leaf(t testing.TB, index int64) (id uuid.UUID) {
	t.Helper()
	if err := b.pool.QueryRow(t.Context(), `SELECT entry_id FROM audit_leaves WHERE leaf_index = $1`, index).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

// Whatever is changed in the log by SQL is found, and the entry named. at is the
// leaf that is tampered with; the tamperer owns the database and not the key.
func TestTampering(t *testing.T) {
	t.Parallel()
	const at = 333
	entryAt := `entry_id = (SELECT entry_id FROM audit_leaves WHERE leaf_index = 333)`
	otherSalt := `salt = decode(repeat('00', 16), 'hex')`
	for _, tt := range []struct {
		name  string
		kind  accesslog.Kind
		index int64 // of the fault; -1 where it is about no leaf
		sql   []string
	}{
		{"nothing", "", 0, nil},
		{"entry removed", accesslog.Removed, at, []string{`DELETE FROM audit_entries WHERE ` + entryAt}},
		{"entry and leaf removed", accesslog.Removed, at, []string{
			`DELETE FROM audit_entries WHERE ` + entryAt, `DELETE FROM audit_leaves WHERE leaf_index = 333`,
		}},
		{"last entry and leaf removed", accesslog.Removed, 699, []string{
			`DELETE FROM audit_entries WHERE entry_id = (SELECT entry_id FROM audit_leaves WHERE leaf_index = 699)`,
			`DELETE FROM audit_leaves WHERE leaf_index = 699`,
		}},
		{"removed, those after it moved up", accesslog.Altered, at, []string{
			`DELETE FROM audit_entries WHERE ` + entryAt, `DELETE FROM audit_leaves WHERE leaf_index = 333`,
			`UPDATE audit_leaves SET leaf_index = -leaf_index WHERE leaf_index > 333`,
			`UPDATE audit_leaves SET leaf_index = -leaf_index - 1 WHERE leaf_index < 0`,
		}},
		{"time", accesslog.Altered, at, []string{`UPDATE audit_entries SET entry_time = entry_time + interval '1 microsecond' WHERE ` + entryAt}},
		{"agency", accesslog.Altered, at, []string{`UPDATE audit_entries SET agency_id = 'st-peters' WHERE ` + entryAt}},
		{"practitioner", accesslog.Altered, at, []string{`UPDATE audit_entries SET practitioner_id = 'p-2' WHERE ` + entryAt}},
		{"role", accesslog.Altered, at, []string{`UPDATE audit_entries SET role = 'auditor' WHERE ` + entryAt}},
		{"on behalf of", accesslog.Altered, at, []string{`UPDATE audit_entries SET on_behalf_of = 'x' WHERE ` + entryAt}},
		{"purpose", accesslog.Altered, at, []string{`UPDATE audit_entries SET purpose = 'EMERGENCY' WHERE ` + entryAt}},
		{"reason", accesslog.Altered, at, []string{`UPDATE audit_entries SET reason = '' WHERE ` + entryAt}},
		{"method", accesslog.Altered, at, []string{`UPDATE audit_entries SET method = 'x' WHERE ` + entryAt}},
		{"decision", accesslog.Altered, at, []string{`UPDATE audit_entries SET decision = 'DENIED' WHERE ` + entryAt}},
		{"status", accesslog.Altered, at, []string{`UPDATE audit_entries SET status_code = 7 WHERE ` + entryAt}},
		{"query", accesslog.Altered, at, []string{`UPDATE audit_entries SET query = NULL WHERE ` + entryAt}},
		{"spaces in the query", accesslog.Altered, at, []string{`UPDATE audit_entries SET query = (' ' || query)::json WHERE ` + entryAt}},
		{"returned", accesslog.Altered, at, []string{`UPDATE audit_entries SET returned = returned[1:1] WHERE ` + entryAt}},
		{"withheld", accesslog.Altered, at, []string{`UPDATE audit_entries SET withheld = '{}' WHERE ` + entryAt}},
		{"client address", accesslog.Altered, at, []string{`UPDATE audit_entries SET client_address = '::1' WHERE ` + entryAt}},
		{"request id", accesslog.Altered, at, []string{`UPDATE audit_entries SET request_id = 'x' WHERE ` + entryAt}},
		{"child, and its list", accesslog.Altered, at, []string{
			`UPDATE audit_entries SET children = '{00000000-0000-0000-0000-000000000001}' WHERE ` + entryAt,
			`UPDATE audit_child_entries SET child_id = '00000000-0000-0000-0000-000000000001' WHERE ` + entryAt,
		}},
		{"salt", accesslog.Altered, at, []string{`UPDATE audit_leaves SET ` + otherSalt + ` WHERE leaf_index = 333`}},
		{"entry, with the hash of its leaf", accesslog.Altered, at, []string{
			`UPDATE audit_leaves SET salt = NULL, personal_hash = sha256('x') WHERE leaf_index = 333`,
		}},
		{"swapped", accesslog.Reordered, at, []string{
			`UPDATE audit_leaves SET leaf_index = -1 WHERE leaf_index = 333`,
			`UPDATE audit_leaves SET leaf_index = 333 WHERE leaf_index = 400`,
			`UPDATE audit_leaves SET leaf_index = 400 WHERE leaf_index = -1`,
		}},
		{"swapped under one checkpoint", accesslog.Reordered, at, []string{
			`UPDATE audit_leaves SET leaf_index = -1 WHERE leaf_index = 333`,
			`UPDATE audit_leaves SET leaf_index = 333 WHERE leaf_index = 334`,
			`UPDATE audit_leaves SET leaf_index = 334 WHERE leaf_index = -1`,
		}},
		{"inserted", accesslog.Inserted, -1, []string{
			`INSERT INTO audit_entries (entry_id, entry_time, agency_id, role, method, decision, status_code)
				VALUES (gen_random_uuid(), now(), 'a', 'auditor', 'x', 'ALLOWED', 0)`,
		}},
		{"inserted with a leaf", accesslog.Inserted, 700, []string{
			`INSERT INTO audit_entries (entry_id, entry_time, agency_id, role, method, decision, status_code)
				VALUES ('00000000-0000-0000-0000-000000000001', now(), 'a', 'auditor', 'x', 'ALLOWED', 0)`,
			`INSERT INTO audit_leaves (leaf_index, entry_id, salt) VALUES (700, '00000000-0000-0000-0000-000000000001', '\x00')`,
		}},
		{"waiting undone", accesslog.Inserted, -1, []string{
			`WITH e AS (INSERT INTO audit_entries (entry_id, entry_time, agency_id, role, method, decision, status_code)
				VALUES (gen_random_uuid(), now(), 'a', 'auditor', 'x', 'ALLOWED', 0) RETURNING entry_id)
				INSERT INTO audit_queue SELECT entry_id FROM e`, `DELETE FROM audit_queue`,
		}},
		{"removed before its leaf", accesslog.Removed, -1, []string{`INSERT INTO audit_queue VALUES (gen_random_uuid())`}},
		{"left out", accesslog.LeftOut, -1, []string{
			`WITH e AS (INSERT INTO audit_entries (entry_id, entry_time, agency_id, role, method, decision, status_code)
				VALUES (gen_random_uuid(), now() - interval '1 hour', 'a', 'auditor', 'x', 'ALLOWED', 0) RETURNING entry_id)
				INSERT INTO audit_queue SELECT entry_id FROM e`,
		}},
		{"hidden from a child's list", accesslog.Unlisted, -1, []string{`DELETE FROM audit_child_entries WHERE ` + entryAt}},
		{"falsely in a child's list", accesslog.Unlisted, -1, []string{
			`INSERT INTO audit_child_entries SELECT gen_random_uuid(), entry_id FROM audit_leaves WHERE leaf_index = 333`,
		}},
		{"purged by hand", accesslog.Purged, at, []string{
			`UPDATE audit_entries SET practitioner_id = '', on_behalf_of = '', client_address = '', request_id = '', reason = '',
				children = '{}', returned = '{}', query = NULL WHERE ` + entryAt,
			`DELETE FROM audit_child_entries WHERE ` + entryAt,
			`UPDATE audit_leaves SET salt = NULL, personal_hash = $1 WHERE leaf_index = 333`,
		}},
		{"marked as purged and altered", accesslog.Altered, at, []string{
			`UPDATE audit_entries SET practitioner_id = 'p-2' WHERE ` + entryAt,
			`UPDATE audit_leaves SET salt = NULL, personal_hash = $1 WHERE leaf_index = 333`,
		}},
		{"hash of a leaf", accesslog.TreeNode, at, []string{
			`UPDATE audit_tiles SET hashes = overlay(hashes PLACING '\x00' FROM 77 * 32 + 5) WHERE level = 0 AND tile_index = 1`,
		}},
		{"last hash of a tile that grows", accesslog.TreeNode, 699, []string{
			`UPDATE audit_tiles SET hashes = overlay(hashes PLACING '\x0000' FROM length(hashes) - 1) WHERE level = 0 AND tile_index = 2`,
		}},
		{"tile cut short", accesslog.TreeNode, 699, []string{
			`UPDATE audit_tiles SET hashes = substr(hashes, 1, length(hashes) - 32) WHERE level = 0 AND tile_index = 2`,
		}},
		{"tile grown", accesslog.TreeNode, -1, []string{
			`UPDATE audit_tiles SET hashes = hashes || sha256('x') WHERE level = 0 AND tile_index = 2`,
		}},
		{"tile removed", accesslog.TreeNode, 256, []string{`DELETE FROM audit_tiles WHERE level = 0 AND tile_index = 1`}},
		{"node above the leaves", accesslog.TreeNode, -1, []string{
			`UPDATE audit_tiles SET hashes = overlay(hashes PLACING '\x0000' FROM 40) WHERE level = 1`,
		}},
		{"root of a checkpoint", accesslog.BadSign, -1, []string{`UPDATE audit_checkpoints SET root_hash = sha256('x') WHERE tree_size = 700`}},
		{"root in the note", accesslog.BadSign, -1, []string{
			`UPDATE audit_checkpoints SET note = replace(note, encode(root_hash, 'base64'), encode(sha256('x'), 'base64')) WHERE tree_size = 700`,
		}},
		{"size of a checkpoint", accesslog.BadSign, -1, []string{`UPDATE audit_checkpoints SET tree_size = 701 WHERE tree_size = 700`}},
		{"checkpoint of another size", accesslog.BadSign, -1, []string{
			`INSERT INTO audit_checkpoints SELECT 699, root_hash, note, sign_time FROM audit_checkpoints WHERE tree_size = 700`,
		}},
		{"forged checkpoint", accesslog.BadSign, -1, []string{
			`UPDATE audit_checkpoints SET note = regexp_replace(note, '(— \S+ .{12})....', '\1AAAA') WHERE tree_size = 700`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, _ := filled(t)
			want := uuid.Nil
			if tt.index >= 0 && tt.index < 700 {
				want = b.leaf(t, tt.index)
			}
			hash := accesslog.PersonalHash(t, b.pool, b.leaf(t, at))
			for _, sql := range tt.sql {
				if strings.Contains(sql, "$1") {
					b.exec(t, sql, hash)
				} else {
					b.exec(t, sql)
				}
			}
			r := b.verify(t, accesslog.Options{})
			if tt.kind == "" {
				if !r.Whole() || r.Size != 700 || r.Waiting != 0 {
					t.Errorf("%+v", r)
				}
				return
			}
			if r.Whole() || r.Faults[0].Kind != tt.kind || r.Faults[0].Index != tt.index {
				t.Fatalf("want %s at leaf %d, got %d faults, the first %+v", tt.kind, tt.index, r.Count, r.Faults[:min(3, len(r.Faults))])
			}
			if got := r.Faults[0].Entry; tt.index >= 0 && tt.index < 700 && got != want && got != uuid.Nil && tt.name != "removed, those after it moved up" &&
				tt.kind != accesslog.Reordered {
				t.Errorf("named entry %s, want %s", got, want)
			}
		})
	}
}

// Who alters an entry and makes the whole tree fit it is found out by the signed
// checkpoints, which cannot be made to fit.
func TestTamperingWithTheTreeToo(t *testing.T) {
	t.Parallel()
	b, _ := filled(t)
	b.exec(t, `UPDATE audit_entries SET agency_id = 'st-peters' WHERE entry_id = $1`, b.leaf(t, 600))
	accesslog.RebuildTiles(t, b.pool)
	r := b.verify(t, accesslog.Options{})
	if r.Whole() || r.Faults[0].Kind != accesslog.Altered || r.Faults[0].Index != 300 || r.Faults[0].Entry != b.leaf(t, 300) {
		t.Errorf("want one of the leaves from 300 on altered, got %+v", r)
	}
	// Signed with a key of one's own it is no better.
	other := setup(t)
	b.exec(t, `DELETE FROM audit_checkpoints`)
	accesslog.SignAsOther(t, b.pool, other.keys)
	if r := b.verify(t, accesslog.Options{}); r.Whole() || r.Faults[0].Kind != accesslog.BadSign {
		t.Errorf("signed by another: %+v", r)
	}
}

// A database that is set back, and one that is set back and goes on, is told from
// what it was by a checkpoint kept elsewhere, and by nothing else.
func TestRewound(t *testing.T) {
	t.Parallel()
	b, _ := filled(t)
	kept := b.sequenced(t, 700)
	since, err := accesslog.OpenCheckpoint([]byte(kept.Note), b.keys)
	if err != nil {
		t.Fatal(err)
	}
	if r := b.verify(t, accesslog.Options{Since: since}); !r.Whole() {
		t.Errorf("as it was: %+v", r)
	}
	accesslog.Rewind(t, b.pool, 300)
	if r := b.verify(t, accesslog.Options{}); !r.Whole() || r.Size != 300 {
		t.Errorf("rewound, by itself: %+v", r)
	}
	if r := b.verify(t, accesslog.Options{Since: since}); r.Whole() || r.Faults[0].Kind != accesslog.Rewound {
		t.Errorf("rewound: %+v", r)
	}
	b.write(t, 500)
	accesslog.Integrate(t, b.pool, b.keys)
	if r := b.verify(t, accesslog.Options{}); !r.Whole() || r.Size != 800 {
		t.Errorf("gone on, by itself: %+v", r)
	}
	if r := b.verify(t, accesslog.Options{Since: since}); r.Whole() || r.Faults[0].Kind != accesslog.NoKeptMatch {
		t.Errorf("rewound and gone on: %+v", r)
	}
}

// The personal parts of old entries go, and the log stays whole, its proofs too.
func TestPurge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := accesslog.Purge(t.Context(), b.pool, time.Now().AddDate(0, -6, 0)); err == nil {
		t.Error("entries of this year were purged")
	}
	all := b.write(t, 500)
	old := all[:200]
	for _, e := range old {
		b.exec(t, `UPDATE audit_entries SET entry_time = '2019-05-01' WHERE entry_id = $1`, [16]byte(e.ID()))
	}
	accesslog.Integrate(t, b.pool, b.keys)
	n, err := accesslog.Purge(t.Context(), b.pool, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil || n != 200 {
		t.Fatalf("%d purged, %v", n, err)
	}
	accesslog.Integrate(t, b.pool, b.keys)
	if r := b.verify(t, accesslog.Options{}); !r.Whole() || r.Purged != 200 {
		t.Errorf("%+v", r)
	}
	if n := b.count(t, `SELECT count(*) FROM audit_entries WHERE entry_time < '2020-01-01'
		AND (practitioner_id || reason || client_address || coalesce(query::text, '') <> '' OR children <> '{}' OR returned <> '{}')`); n != 0 {
		t.Errorf("%d old entries still name people", n)
	}
	if n := b.count(t, `SELECT count(*) FROM audit_child_entries`); n != 300 {
		t.Errorf("%d children are listed, want those of the 300 entries that stay", n)
	}
	if n := b.count(t, `SELECT count(*) FROM audit_leaves WHERE salt IS NOT NULL`); n != 301 {
		t.Errorf("%d salts are left", n)
	}
	p, err := accesslog.Prove(t.Context(), b.pool, old[7].ID(), 0)
	if err != nil || p.Personal != nil || p.Salt != nil {
		t.Errorf("%+v, %v", p, err)
	}
	if n, err := accesslog.Purge(t.Context(), b.pool, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil || n != 0 {
		t.Errorf("purged again: %d, %v", n, err)
	}
}
