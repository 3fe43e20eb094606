package cinfile_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"irthub/internal/exchange/cinfile"
	"irthub/internal/exchange/textfile"
)

const one = `<Message><Header/><Children><Child><ChildIdentifiers><LAchildID>LA1</LAchildID><UPN>A123</UPN>stray
<PersonBirthDate>2015-03-27</PersonBirthDate><GenderCurrent>1</GenderCurrent></ChildIdentifiers><ChildCharacteristics><Disabilities>
<Disability>HAND</Disability><Disability>HE<!-- x -->AR</Disability></Disabilities></ChildCharacteristics>
<CINdetails><CINreferralDate>2022-10-06</CINreferralDate><Assessments><UPN>no</UPN></Assessments></CINdetails>
<CINdetails><CINreferralDate>2023-01-01</CINreferralDate><CINclosureDate>2023-02-27</CINclosureDate></CINdetails></Child></Children></Message>`

func TestRead(t *testing.T) {
	t.Parallel()
	r := cinfile.NewReader(strings.NewReader(one))
	c, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	if c.LAChildID != "LA1" || c.UPN != "A123" || c.BirthDate != "2015-03-27" || c.Sex != "1" ||
		strings.Join(c.Disabilities, " ") != "HAND HEAR" || len(c.Episodes) != 2 ||
		c.Episodes[0] != (cinfile.Episode{Referred: "2022-10-06"}) || c.Episodes[1].Closed != "2023-02-27" {
		t.Errorf("read %+v", c)
	}
	if end := strings.Index(one, "</Children>"); r.Offset() != int64(end) {
		t.Errorf("the child ends at %d, want %d", r.Offset(), end)
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last: %v", err)
	}
}

// FuzzRead holds the reader to what its caller relies on, whatever the bytes: it
// ends, with an error of its own words, and children come one after the other.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		one, "", "<Message>", "<!DOCTYPE a>", "<Message><Children><Child></Child><Child/></Children></Message>", "<Message>&amp;&x;</Message>",
		"<?xml version='1.0' encoding='utf-7'?><Message/>", "<Message><a><a></b>", "\xff\xfe<", "<Other><Child/></Other>",
		"<Message><Children><Child><a><b><Disability>x</Disability></b></a><CINdetails><x/></CINdetails></Child>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r := cinfile.NewReader(bytes.NewReader(file))
		last := int64(0)
		for {
			c, err := r.Read()
			if err != nil {
				if own := (*textfile.FormatError)(nil); !errors.Is(err, io.EOF) && !errors.As(err, &own) {
					t.Fatalf("error %v", err)
				}
				return
			}
			if c == nil || r.Offset() <= last || r.Offset() > int64(len(file)) {
				t.Fatalf("a child %v that ends at %d, after one at %d", c, r.Offset(), last)
			}
			last = r.Offset()
		}
	})
}
