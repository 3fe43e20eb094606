package standard

import (
	"strings"
	"unicode"
)

// namePlaceholders are what people and programs write where they have no name,
// folded. Hardly anyone bears one of them as a name, and who does is only asked.
var namePlaceholders = setOf(
	"unknown", "unk", "notknown", "notgiven", "notstated", "notprovided", "nk", "noname", "nameunknown",
	"none", "null", "nil", "missing", "tbc", "tba", "tobeconfirmed", "anonymous", "anon", "unnamed",
	"test", "testing", "dummy", "example", "delete", "deleted", "donotuse", "duplicate",
	"firstname", "forename", "givenname", "lastname", "surname", "familyname", "name",
	"abc", "asdf", "qwerty",
)

// givenNamePlaceholders stand for an unnamed child. "Baby" does not count: it is
// what the standard asks for.
var givenNamePlaceholders = setOf("child", "boy", "girl", "male", "female", "infant", "twin", "twin1", "twin2", "son", "daughter")

func setOf(words ...string) map[string]bool {
	set := make(map[string]bool, len(words))
	for _, w := range words {
		set[w] = true
	}
	return set
}

// NameIsPlaceholder tells a name that stands in for one that is not known.
func NameIsPlaceholder(s string, given bool) bool { return nameIsPlaceholder(s, given) }

// nameIsPlaceholder reports a name that is none: a word of the lists above, one
// letter repeated, or no letter at all.
func nameIsPlaceholder(s string, given bool) bool {
	folded := foldForm(s)
	if folded == "" || namePlaceholders[folded] || given && givenNamePlaceholders[folded] {
		return true
	}
	if s == "N/A" || s == "n/a" || s == "N/K" || s == "n/k" {
		return true
	}
	return len(folded) > 2 && strings.Count(folded, folded[:1]) == len(folded)
}

// nameIsUnusual reports signs that names do not have: digits, brackets, marks of
// a damaged encoding. Letters of every script, apostrophes, hyphens, full stops
// and middle dots are usual.
func nameIsUnusual(s string) bool {
	letters := false
	for _, r := range s {
		switch {
		case r < unicode.MaxASCII && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'):
			letters = true
		case r == ' ' || r == '-' || r == '\'' || r == '.':
		case strings.ContainsRune("’‘ʼʻ`´‐‑–·\u200C\u200D", r):
		case unicode.IsLetter(r) || unicode.Is(unicode.M, r):
			letters = true
		default:
			return true
		}
	}
	return !letters
}
