// Package dataset reads files of people, whatever their columns are called, as
// records to match: to learn a model from them, to measure one on them, or to
// explain why two of them are or are not one child.
package dataset

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"irthub/internal/match"
)

// maxBytes bounds a file: it is held in memory whole.
const maxBytes = 1 << 30

// Reading says how to read a file.
type Reading struct {
	Map Mapping
	// Truth names the column by which records of one child are known, "" when
	// there is none. Only scoring looks at it.
	Truth string
	// TruthPattern, when set, takes its first group out of that column. A value
	// it does not match is an error.
	TruthPattern *regexp.Regexp
}

// Data are the records of a file, in its order.
type Data struct {
	People []match.Person
	// Truth is what only records of one child share; nil without a column of
	// truth. A record with an empty value there is a child of its own.
	Truth []string
	// Lines are the numbers of the lines where the records stand.
	Lines []int
}

// Labelled prepares the records for measuring.
func (d *Data) Labelled() []match.Labelled {
	list := make([]match.Labelled, len(d.People))
	for i := range d.People {
		list[i].Features = match.Prepare(d.People[i])
		if d.Truth != nil {
			list[i].Truth = d.Truth[i]
		}
	}
	return list
}

// Features prepares the records.
func (d *Data) Features() []match.Features {
	list := make([]match.Features, len(d.People))
	for i := range d.People {
		list[i] = match.Prepare(d.People[i])
	}
	return list
}

// Read reads CSV text: UTF-8, UTF-16 with a byte-order mark, else Windows-1252; lines
// that end in any way; separated by commas, semicolons, tabs or bars, as the header, or
// a line sep=; before it, shows. Errors name lines and columns, never what stands there.
func Read(r io.Reader, how Reading) (*Data, error) {
	text, err := decode(r)
	if err != nil {
		return nil, err
	}
	text, comma := separator(text)
	t, err := read(text, comma, how, false)
	if errors.Is(err, csv.ErrQuote) || errors.Is(err, csv.ErrBareQuote) {
		t, err = read(text, comma, how, true)
	}
	if err != nil {
		return nil, err
	}
	if len(t.rows) == 0 {
		return nil, errors.New("the file has a header and no records")
	}
	return t.data()
}

// read reads the rows. Where stray is set, quotation marks stand inside values: then no
// value goes over several lines, or a mark that is never closed would take in the rest.
func read(text []byte, comma rune, how Reading, stray bool) (*table, error) {
	c := csv.NewReader(bytes.NewReader(text))
	c.Comma, c.TrimLeadingSpace, c.LazyQuotes, c.FieldsPerRecord = comma, comma != '\t', stray, -1
	header, err := c.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty")
	} else if err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	t, err := newTable(header, how)
	if err != nil {
		return nil, err
	}
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			t.blank()
			return t, nil
		} else if err != nil {
			return nil, fmt.Errorf("read row: %w", err)
		}
		line, _ := c.FieldPos(0)
		if stray && (len(row) != len(header) || slices.ContainsFunc(row, func(v string) bool { return strings.Contains(v, "\n") })) {
			return nil, fmt.Errorf("line %d: quotation marks are astray: close what is opened, and write one inside a value twice", line)
		}
		t.add(slices.Clone(row), line)
	}
}

func decode(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(bufio.NewReader(r), maxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxBytes {
		return nil, fmt.Errorf("the file is larger than %d bytes", maxBytes)
	}
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")):
		text, err = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder().Bytes(text)
	case !utf8.Valid(text):
		text, err = charmap.Windows1252.NewDecoder().Bytes(text)
	}
	if err != nil {
		return nil, err
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !bytes.ContainsRune(text, '\n') {
		text = bytes.ReplaceAll(text, []byte("\r"), []byte("\n"))
	}
	return text, nil
}

// separator is what a first line sep=; names, which is blanked so that the numbers of
// lines stay, or else the likeliest in the header.
func separator(text []byte) ([]byte, rune) {
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	if named, ok := bytes.CutPrefix(bytes.TrimRight(first, "\r"), []byte("sep=")); ok && len(named) == 1 {
		return append([]byte("\n"), rest...), rune(named[0])
	}
	best, most := ',', bytes.Count(first, []byte(","))
	for _, c := range []rune{';', '\t', '|'} {
		if n := bytes.Count(first, []byte(string(c))); n > most {
			best, most = c, n
		}
	}
	return text, best
}

// table is a file with its columns found.
type table struct {
	how    Reading
	column map[string]int
	truth  int // -1 for none
	rows   [][]string
	lines  []int
}

func newTable(header []string, how Reading) (*table, error) {
	t := &table{how: how, column: map[string]int{}, truth: -1}
	times := map[string]int{}
	for i, name := range header {
		if name = strings.TrimSpace(name); name != "" {
			header[i] = name
			t.column[name] = i
			times[name]++
		}
	}
	wanted := how.Map.columns()
	if truth := strings.TrimSpace(how.Truth); truth != "" {
		wanted = append(wanted, truth)
	}
	for _, name := range wanted {
		switch times[name] {
		case 0:
			return nil, noColumn(name, header)
		case 1:
		default:
			return nil, fmt.Errorf("the file has %d columns %q: give each a name of its own", times[name], name)
		}
	}
	if how.Truth != "" {
		t.truth = t.column[strings.TrimSpace(how.Truth)]
	}
	return t, nil
}

func noColumn(name string, header []string) error {
	return fmt.Errorf("the file has no column %q; it has %s", name, strings.Join(header, ", "))
}

// add takes a row.
func (t *table) add(row []string, line int) {
	for i := range row {
		row[i] = strings.TrimSpace(row[i])
	}
	t.rows, t.lines = append(t.rows, row), append(t.lines, line)
}

func (t *table) value(row []string, column string) string {
	if i := t.column[column]; i < len(row) {
		return row[i]
	}
	return ""
}

func (t *table) data() (*Data, error) {
	d := &Data{Lines: t.lines, People: make([]match.Person, len(t.rows))}
	order := t.dateOrder()
	for i, row := range t.rows {
		for _, rule := range t.how.Map {
			rule.set(&d.People[i], t.joined(row, rule.columns), order)
		}
		if !t.how.Map.has("familyName") {
			splitName(&d.People[i])
		}
	}
	if t.truth < 0 {
		return d, nil
	}
	d.Truth = make([]string, len(t.rows))
	for i, row := range t.rows {
		var err error
		if d.Truth[i], err = t.truthOf(row, t.lines[i]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// splitName finds the family name in a file that has none of its own: its column of
// given names holds whole names.
func splitName(p *match.Person) {
	words := strings.Fields(p.GivenName)
	if len(words) < 2 {
		return
	}
	last := len(words) - 1
	p.GivenName, p.FamilyName = words[0], words[last]
	p.MiddleNames = strings.TrimSpace(strings.Join(words[1:last], " ") + " " + p.MiddleNames)
}

// joined puts the columns' values behind each other, a space between.
func (t *table) joined(row []string, columns []string) string {
	var parts []string
	for _, c := range columns {
		if v := t.value(row, c); v != "" {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, " ")
}

func (t *table) truthOf(row []string, line int) (string, error) {
	value := ""
	if t.truth < len(row) {
		value = row[t.truth]
	}
	if value == "" {
		return fmt.Sprintf("\x00 line %d", line), nil
	}
	if t.how.TruthPattern == nil {
		return value, nil
	}
	found := t.how.TruthPattern.FindStringSubmatch(value)
	if len(found) < 2 {
		return "", fmt.Errorf("line %d: the pattern does not fit the column of truth", line)
	}
	return found[1], nil
}

// dateOrder is what the file's own dates of birth say about day and month.
func (t *table) dateOrder() dateOrder {
	var dates []string
	for _, rule := range t.how.Map {
		if rule.field != "dateOfBirth" {
			continue
		}
		for _, row := range t.rows {
			dates = append(dates, t.joined(row, rule.columns))
		}
	}
	return orderOf(dates)
}
