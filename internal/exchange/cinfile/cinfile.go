// Package cinfile reads the DfE children in need census: XML, of which it takes who
// the children are and when social care worked with them, and nothing of why.
//
// The file is read as it comes, in bounded memory. What XML can do beyond elements
// and text is refused: document types, entities of its own, processing
// instructions, deep nesting.
package cinfile

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"irthub/internal/exchange/textfile"
)

const (
	// MaxChild is how much of a file one child may take up, in bytes, and so may
	// everything between two children.
	MaxChild = 256 << 10
	// maxDepth is how deep elements may be nested. The census has nine levels.
	maxDepth = 16
	// maxEpisodes is how many times a child may have been referred.
	maxEpisodes = 100
)

// Child is what is taken of a child. All of it is as the file has it.
type Child struct {
	Line                             int32 // at which it begins
	LAChildID                        string
	UPN, FormerUPN, UPNUnknown       string
	BirthDate, ExpectedDate, DeathOn string
	Sex                              string
	Ethnicity                        string
	Disabilities                     []string
	Episodes                         []Episode
}

// Episode is one period in need: from a referral to its closure.
type Episode struct {
	Referred, Closed string
	// NoFurtherAction says that nothing came of the referral.
	NoFurtherAction string
}

// Reader reads the children of a census.
type Reader struct {
	in      *budget
	xml     *xml.Decoder
	path    []string // the elements it is in
	started bool
}

// NewReader makes a Reader of a file as textfile.Open gives it.
func NewReader(file io.Reader) *Reader {
	r := &Reader{in: &budget{r: file}}
	r.xml = xml.NewDecoder(r.in)
	r.xml.Strict = true
	r.xml.Entity = map[string]string{} // those of XML itself are always known
	r.xml.CharsetReader = decode
	return r
}

// Offset is where in the file the child last read ends, in bytes.
func (r *Reader) Offset() int64 { return r.xml.InputOffset() }

// decode lets the decoder read on as UTF-8 what textfile.Open has made UTF-8.
func decode(charset string, in io.Reader) (io.Reader, error) {
	if textfile.Reads(charset) {
		return in, nil
	}
	return nil, errCharset
}

// Read gives the next child, and io.EOF after the last. A *textfile.FormatError
// says that the file cannot be read on.
func (r *Reader) Read() (*Child, error) {
	var child *Child
	for {
		token, err := r.token()
		if errors.Is(err, io.EOF) && !r.started {
			return nil, errNotCensus
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if err := r.enter(t.Name.Local); err != nil {
				return nil, err
			}
			child, err = r.open(child, t.Name.Local)
			if err != nil {
				return nil, err
			}
		case xml.CharData:
			if child != nil {
				child.set(r.path, string(t))
			}
		case xml.EndElement:
			ended := child != nil && len(r.path) == 3
			r.path = r.path[:len(r.path)-1]
			if ended {
				r.in.left = MaxChild
				return child, nil
			}
		case xml.Directive:
			return nil, errDocumentType
		case xml.ProcInst:
			if t.Target != "xml" {
				return nil, errProcessing
			}
		}
	}
}

// token is the next piece of the file, in the words of this package where there is
// none.
func (r *Reader) token() (xml.Token, error) {
	if r.in.left == 0 {
		r.in.left = MaxChild
	}
	token, err := r.xml.Token()
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return token, err
	case r.in.err != nil:
		return nil, r.in.err // of the upload, or too much
	}
	if own := (*textfile.FormatError)(nil); errors.As(err, &own) {
		return nil, own
	}
	if strings.Contains(err.Error(), "invalid character entity") {
		return nil, errEntity
	}
	if strings.Contains(err.Error(), errCharset.Description) {
		return nil, errCharset
	}
	return nil, errSyntax
}

func (r *Reader) enter(name string) error {
	r.path = append(r.path, name)
	if !r.started {
		if name != "Message" {
			return errNotCensus
		}
		r.started = true
	}
	if len(r.path) > maxDepth {
		return errDepth
	}
	return nil
}

// open begins a child, or an episode of one.
func (r *Reader) open(child *Child, name string) (*Child, error) {
	switch {
	case name == "Child" && len(r.path) == 3 && r.path[1] == "Children":
		line, _ := r.xml.InputPos()
		r.in.left = MaxChild
		return &Child{Line: int32(line)}, nil //nolint:gosec // a file has fewer lines
	case child != nil && name == "CINdetails" && len(r.path) == 4:
		if len(child.Episodes) == maxEpisodes {
			return nil, errEpisodes
		}
		child.Episodes = append(child.Episodes, Episode{})
	case child != nil && name == "Disability":
		child.Disabilities = append(child.Disabilities, "")
	}
	return child, nil
}

// set puts a text where it belongs, by the elements that it stands in. A text may
// come in pieces.
func (c *Child) set(path []string, text string) {
	if strings.TrimSpace(text) == "" || len(path) < 5 {
		return
	}
	if len(c.Episodes) > 0 && path[3] == "CINdetails" {
		if len(path) == 5 {
			c.Episodes[len(c.Episodes)-1].set(path[4], text)
		}
		return
	}
	if path[len(path)-1] == "Disability" {
		c.Disabilities[len(c.Disabilities)-1] += text
		return
	}
	if to := c.field(path[len(path)-1]); to != nil && len(path) == 5 {
		*to += text
	}
}

// field is where an element of a child goes. Sex was GenderCurrent until 2023.
func (c *Child) field(element string) *string {
	switch element {
	case "LAchildID":
		return &c.LAChildID
	case "UPN":
		return &c.UPN
	case "FormerUPN":
		return &c.FormerUPN
	case "UPNunknown":
		return &c.UPNUnknown
	case "PersonBirthDate":
		return &c.BirthDate
	case "ExpectedPersonBirthDate":
		return &c.ExpectedDate
	case "PersonDeathDate":
		return &c.DeathOn
	case "Sex", "GenderCurrent":
		return &c.Sex
	case "Ethnicity":
		return &c.Ethnicity
	}
	return nil
}

func (e *Episode) set(element, text string) {
	switch element {
	case "CINreferralDate":
		e.Referred += text
	case "CINclosureDate":
		e.Closed += text
	case "ReferralNFA":
		e.NoFurtherAction += text
	}
}

// budget is a reader that gives up after so many bytes, until it is given more: the
// decoder keeps whatever it reads of one element in memory.
type budget struct {
	r    io.Reader
	left int
	err  error
}

// Read implements io.Reader.
func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.err = errTooLong
		return 0, b.err
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	if b.left == 0 {
		b.left = -1 // spent; 0 is not begun
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

var (
	errNotCensus = &textfile.FormatError{
		RuleID: "IMPORT_NOT_CENSUS", Description: "The file is not a children in need census: its first element is not Message.",
		Action: "Send the XML file that is returned to the Department for Education, as it is.",
	}
	errDocumentType = &textfile.FormatError{
		RuleID: "IMPORT_XML_REFUSED", Description: "The file has a document type declaration, in which entities can be hidden.",
		Action: "Leave the <!DOCTYPE …> out. The census has none.",
	}
	errEntity = &textfile.FormatError{
		RuleID: "IMPORT_XML_REFUSED", Description: "The file uses an entity that XML itself does not have.",
		Action: "Write the character itself.",
	}
	errProcessing = &textfile.FormatError{
		RuleID: "IMPORT_XML_REFUSED", Description: "The file has a processing instruction.",
		Action: "Leave everything that begins with <? out, but for the first line.",
	}
	errDepth = &textfile.FormatError{
		RuleID: "IMPORT_XML_REFUSED", Description: "Elements are nested more than 16 deep.",
		Action: "Send the census as the Department for Education defines it.",
	}
	errEpisodes = &textfile.FormatError{
		RuleID: "IMPORT_XML_REFUSED", Description: "A child has more than 100 elements CINdetails.",
		Action: "Check that the elements Child are closed where they should be.",
	}
	errTooLong = &textfile.FormatError{
		RuleID: "IMPORT_ROW_TOO_LONG", Description: "A child, or what stands between two children, is longer than 256 KiB.",
		Action: "Check that the elements Child are closed where they should be.",
	}
	errSyntax = &textfile.FormatError{
		RuleID: "IMPORT_XML_MALFORMED", Description: "The file is not well-formed XML, or breaks off.",
		Action: "Check that it was saved whole; the rows before the fault went in.",
	}
	errCharset = &textfile.FormatError{
		RuleID: "IMPORT_ENCODING", Description: "The file says that it is in an encoding that is not read.",
		Action: "Save it in UTF-8.",
	}
)
