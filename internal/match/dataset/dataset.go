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

// Read reads CSV text: UTF-8 with or without a byte-order mark, else
// Windows-1252; separated by commas, semicolons or tabs, as the header shows.
// Errors name lines and columns, never what stands there.
func Read(r io.Reader, how Reading) (*Data, error) {
	text, err := decode(r)
	if err != nil {
		return nil, err
	}
	c := csv.NewReader(bytes.NewReader(text))
	c.Comma, c.TrimLeadingSpace, c.LazyQuotes, c.FieldsPerRecord = separator(text), true, true, -1
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
			return t.data()
		} else if err != nil {
			return nil, fmt.Errorf("read row: %w", err)
		}
		line, _ := c.FieldPos(0)
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
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !utf8.Valid(text) {
		return charmap.Windows1252.NewDecoder().Bytes(text)
	}
	return text, nil
}

// separator is the likeliest of the three in the first line.
func separator(text []byte) rune {
	first, _, _ := bytes.Cut(text, []byte("\n"))
	best, most := ',', bytes.Count(first, []byte(","))
	for _, c := range []rune{';', '\t'} {
		if n := bytes.Count(first, []byte(string(c))); n > most {
			best, most = c, n
		}
	}
	return best
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
	for i, name := range header {
		if name = strings.TrimSpace(name); name != "" {
			header[i] = name
			t.column[name] = i
		}
	}
	for _, name := range how.Map.columns() {
		if _, ok := t.column[name]; !ok {
			return nil, noColumn(name, header)
		}
	}
	if how.Truth != "" {
		i, ok := t.column[strings.TrimSpace(how.Truth)]
		if !ok {
			return nil, noColumn(how.Truth, header)
		}
		t.truth = i
	}
	return t, nil
}

func noColumn(name string, header []string) error {
	return fmt.Errorf("the file has no column %q; it has %s", name, strings.Join(header, ", "))
}

// add takes a row, unless it is blank.
func (t *table) add(row []string, line int) {
	blank := true
	for i := range row {
		row[i] = strings.TrimSpace(row[i])
		blank = blank && row[i] == ""
	}
	if !blank {
		t.rows, t.lines = append(t.rows, row), append(t.lines, line)
	}
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
