package dataset

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// missing are the words by which programs write that a value is not known, in small
// letters, and missingNames those of them that people bear as names.
var (
	missing      = []string{"null", "na", "n/a", "#n/a", "nan", "none", "nil", "-", `\n`}
	missingNames = []string{"null", "na", "nan", "none", "nil"}
)

// nameFields are the fields of which a word for nothing may be the value.
var nameFields = []string{"givenName", "preferredGivenName", "middleName", "familyName", "formerFamilyName"}

// A word for nothing is a name in one of a hundred rows of its column at most, or in a
// family's few of a short file.
const (
	seldomShare = 0.01
	seldomRows  = 2
)

// blank empties the values that are words for nothing, and leaves out the rows in which
// nothing stands.
func (t *table) blank() {
	names := map[int]map[string]bool{}
	for _, column := range t.how.Map.nameColumns() {
		names[t.column[column]] = t.namesIn(t.column[column])
	}
	rows, lines := t.rows[:0], t.lines[:0]
	for n, row := range t.rows {
		blank := true
		for i, v := range row {
			if isMissing(v) && !names[i][v] {
				row[i] = ""
			}
			blank = blank && row[i] == ""
		}
		if !blank {
			rows, lines = append(rows, row), append(lines, t.lines[n])
		}
	}
	t.rows, t.lines = rows, lines
}

func isMissing(v string) bool { return slices.Contains(missing, strings.ToLower(v)) }

// namesIn are the words for nothing that are names in a column of names: they stand in
// few of its rows, and are written as names are there. By nothing else is Miss Null told
// from nobody.
func (t *table) namesIn(column int) map[string]bool {
	words, others := map[string]int{}, map[writing]int{}
	for _, row := range t.rows {
		switch {
		case column >= len(row) || row[column] == "":
		case slices.Contains(missingNames, strings.ToLower(row[column])):
			words[row[column]]++
		case !isMissing(row[column]):
			others[writingOf(row[column])]++
		}
	}
	names := map[string]bool{}
	for word, n := range words {
		how := writingOf(word)
		usual := how == capitalised || how != mixed && 2*others[how] > others[capitals]+others[small]+others[capitalised]
		names[word] = usual && n <= max(seldomRows, int(seldomShare*float64(len(t.rows))))
	}
	return names
}

// writing is how the letters of a name are written.
type writing int

const (
	mixed       writing = iota // as in NaN
	capitalised                // as in Null, and in most names
	capitals
	small
)

func writingOf(name string) writing {
	_, first := utf8.DecodeRuneInString(name)
	switch name {
	case strings.ToUpper(name):
		return capitals
	case strings.ToLower(name):
		return small
	case strings.ToUpper(name[:first]) + strings.ToLower(name[first:]):
		return capitalised
	}
	return mixed
}
