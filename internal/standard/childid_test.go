package standard_test

import (
	"strings"
	"testing"

	"irthub/internal/standard"

	"github.com/google/uuid"
)

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

func someChildIDs() []uuid.UUID {
	ids := []uuid.UUID{uuid.Nil, uuid.Max, uuid.MustParse("01939c5e-7b10-7c3a-9f00-0123456789ab")}
	for range 50 {
		ids = append(ids, standard.NewChildID())
	}
	return ids
}

func TestChildIDsRoundTrip(t *testing.T) {
	t.Parallel()
	for _, id := range someChildIDs() {
		text := standard.FormatChildID(id)
		if len(text) != 27 || strings.Trim(text, crockford) != "" {
			t.Errorf("%s is written %q", id, text)
		}
		hyphens := text[:4] + "-" + text[4:9] + "--" + text[9:] + "-"
		alike := strings.NewReplacer("1", "l", "0", "o").Replace(text)
		for _, form := range []string{text, strings.ToUpper(text), hyphens, alike, strings.ToUpper(strings.NewReplacer("1", "i").Replace(text))} {
			if got, err := standard.ParseChildID(form); err != nil || got != id {
				t.Errorf("%q is read as %s, %v; want %s", form, got, err, id)
			}
		}
	}
}

// One wrong character, or any two exchanged, must not lead to another child.
func TestSlipsInChildIDsAreFound(t *testing.T) {
	t.Parallel()
	for _, id := range someChildIDs()[:10] {
		text := standard.FormatChildID(id)
		for i := range len(text) {
			for j := range len(crockford) {
				if wrong := text[:i] + crockford[j:j+1] + text[i+1:]; wrong != text {
					if got, err := standard.ParseChildID(wrong); err == nil {
						t.Fatalf("%s with a slip at %d is read as %s", text, i, got)
					}
				}
			}
			for j := range i {
				swapped := []byte(text)
				swapped[i], swapped[j] = swapped[j], swapped[i]
				if string(swapped) != text {
					if got, err := standard.ParseChildID(string(swapped)); err == nil {
						t.Fatalf("%s with %d and %d exchanged is read as %s", text, j, i, got)
					}
				}
			}
		}
	}
}

func TestWhatIsNoChildID(t *testing.T) {
	t.Parallel()
	good := standard.FormatChildID(standard.NewChildID())
	for _, s := range []string{
		"", "-", good[:26], good + "0", good + good, "u" + good[1:], "é" + good[2:], " " + good, good + "\n",
		"children/" + good, "01939c5e-7b10-7c3a-9f00-0123456789ab",
	} {
		if id, err := standard.ParseChildID(s); err == nil {
			t.Errorf("%q is read as %s", s, id)
		} else if id != uuid.Nil {
			t.Errorf("%q is refused with the id %s", s, id)
		}
	}
	// A first character above 7 would be more than 128 bits.
	if _, err := standard.ParseChildID("z" + good[1:]); err == nil {
		t.Error("an id of more than 128 bits is read")
	}
}

func TestNewChildIDsFollowTime(t *testing.T) {
	t.Parallel()
	before := standard.NewChildID()
	for range 1000 {
		next := standard.NewChildID()
		if standard.FormatChildID(next) <= standard.FormatChildID(before) || next.Version() != 7 {
			t.Fatalf("%s is followed by %s", before, next)
		}
		before = next
	}
}

func BenchmarkFormatChildID(b *testing.B) {
	id := standard.NewChildID()
	b.ReportAllocs()
	for b.Loop() {
		standard.FormatChildID(id)
	}
}
