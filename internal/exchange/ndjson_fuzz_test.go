package exchange

import (
	"bytes"
	"errors"
	"io"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/exchange/textfile"
)

// FuzzNDJSON holds the way from lines to records to what the rest relies on: every
// line is a fault or a record of the importing agency, and places only grow.
func FuzzNDJSON(f *testing.F) {
	for _, seed := range []string{
		`{"name":"p-1","givenName":"Jo"}`, "\xEF\xBB\xBF{}\n\n{", `{"name":"agencies/b/childRecords/1"}`, `{"carers":[{"displayName":"x"}]}`,
		`{"child":"children/x","state":"CHILD_RECORD_STATE_ACTIVE"}`, "[]", "null", `{"a":` + "[[[[", "\x00", "\xff\xfe{\x00}\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, k := range []kind{childRecords, involvements} {
			text, _, err := textfile.Open(bytes.NewReader(file))
			if err != nil {
				return
			}
			src := openNDJSON(&job{agency: "a", state: &irtv1.Import{}}, text, k)
			for last := int64(0); ; last = src.offset() {
				l, err := src.next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil || l.number < 1 || src.offset() <= last {
					t.Fatalf("line %+v at %d after %d, error %v", l, src.offset(), last, err)
				}
				if l.fault != nil {
					continue
				}
				if owner, _, ok := agencies.ParseChildName(l.subject(), k.collection); ok && owner != "a" {
					t.Fatalf("a record %q", l.subject())
				}
				for _, r := range l.faults() {
					if r.GetRuleId() == "" || r.GetRow() != l.number {
						t.Fatalf("a reject %v", r)
					}
				}
			}
		}
	})
}
