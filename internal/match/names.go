package match

import "strings"

// newName prepares one folded name. Prefixes such as Mc, O, van and de are
// joined to what follows, so that "Mc Donald", "McDonald" and "MacDonald" are
// one name, and hyphens count as spaces.
func newName(folded string) Name {
	parts := words(folded)
	if len(parts) == 0 {
		return Name{}
	}
	n := Name{Joined: onePrefix(strings.Join(parts, ""))}
	if len(parts) > 1 {
		n.Words = ownWords(parts)
	}
	n.Sound = sound(n.Joined)
	n.Letters = lettersIn(n.Joined)
	n.Groups = nicknameGroups(n)
	return n
}

// onePrefix writes a prefix that has several spellings in one.
func onePrefix(s string) string {
	switch {
	case len(s) >= 7 && strings.HasPrefix(s, "mac"):
		return "mc" + s[3:]
	case strings.HasPrefix(s, "abd"):
		return oneAbdul(s)
	}
	return s
}

// oneAbdul writes "servant of the", which takes the sound of what follows and
// is spelt after many languages, as abdul: Abdurrahman, Abd al-Rahman,
// Abdelrahman, Abdirahman; Abdallah. Shorter names, such as Abdi, are their own.
func oneAbdul(s string) string {
	rest := s[len("abd"):]
	if len(rest) < 3 || !isVowel(rest[0]) {
		return s
	}
	rest = rest[1:]
	if rest[0] == 'l' && len(rest) > 2 {
		rest = rest[1:]
	} else if rest[0] == rest[1] && !isVowel(rest[0]) { // the l has become the next letter
		rest = rest[1:]
	}
	return "abdul" + rest
}

// ownWords are the parts that can stand for the name alone: prefixes and
// single letters cannot.
func ownWords(parts []string) []string {
	own := make([]string, 0, len(parts))
	for _, w := range parts {
		if len(w) > 1 && !isPrefix(w) {
			own = append(own, onePrefix(w))
		}
	}
	return own
}

func isPrefix(w string) bool {
	switch w {
	case "mc", "mac", "van", "von", "der", "den", "de", "del", "della", "di", "da", "dos", "das", "du", "la", "le",
		"al", "el", "ul", "ur", "as", "ad", "bin", "bint", "binti", "ibn", "abu", "abd", "abdul", "abdel", "abdal", "abdur", "st", "san", "ter", "ten", "ap", "fitz", "and":
		return true
	}
	return false
}

// nicknameGroups looks up the whole name and, for names of several words, the
// first, by which the child will be called.
func nicknameGroups(n Name) []uint16 {
	if g := groupsOf[n.Joined]; g != nil || len(n.Words) == 0 {
		return g
	}
	return groupsOf[n.Words[0]]
}

// givenNames prepares the given and preferred names; placeholder says that the
// given name was a newborn's stand-in, which is then left out.
func givenNames(given, preferred string) (names []Name, placeholder bool) {
	g := withoutTitle(fold(given))
	if isPlaceholder(g) {
		g, placeholder = "", true
	}
	names = appendName(names, g)
	if p := withoutTitle(fold(preferred)); !isPlaceholder(p) && !isNone(p) {
		names = appendName(names, p)
	}
	return names, placeholder && len(names) == 0
}

func familyNames(family string, former []string) []Name {
	names := appendName(nil, fold(family))
	for _, f := range former {
		if f := fold(f); !isNone(f) {
			names = appendName(names, f)
		}
	}
	return names
}

// appendName adds a name unless it is empty, says that it is not known, or is there.
func appendName(names []Name, folded string) []Name {
	if folded == "" || isNoName(folded) {
		return names
	}
	n := newName(folded)
	for _, have := range names {
		if have.Joined == n.Joined {
			return names
		}
	}
	return append(names, n)
}

// isNoName tells what is nobody's name.
func isNoName(folded string) bool {
	switch folded {
	case "unknown", "not known", "notknown", "nk", "n k", "n a", "not given", "tbc", "unspecified", "x", "xx", "xxx":
		return true
	}
	return false
}

// isNone tells what stands for none where there need not be a name. There are children
// who are called so: Na and None are family names, Nil is a given name.
func isNone(folded string) bool {
	switch folded {
	case "na", "none", "nil", "null":
		return true
	}
	return false
}

func withoutTitle(folded string) string {
	first, rest, ok := strings.Cut(folded, " ")
	if !ok {
		return folded
	}
	switch first {
	case "mr", "mrs", "ms", "miss", "mstr", "master", "dr":
		return rest
	}
	return folded
}

// isPlaceholder recognises what maternity and early-years systems write before
// a child is named: Baby, Baby Girl, Baby of Sarah, Twin 2, Male Infant, Boy
// Twin B.
func isPlaceholder(folded string) bool {
	first, rest, _ := strings.Cut(folded, " ")
	switch first {
	case "baby", "infant", "newborn", "unborn", "unnamed", "neonate":
		return true
	case "babyboy", "babygirl":
		return rest == ""
	}
	if !standsIn(first) {
		return false
	}
	for w := range strings.SplitSeq(rest, " ") {
		if w == "of" {
			break
		}
		if len(w) > 1 && !standsIn(w) {
			return false
		}
	}
	return true
}

func standsIn(w string) bool {
	switch w {
	case "boy", "girl", "male", "female", "twin", "twin1", "twin2", "twina", "twinb", "triplet", "child",
		"baby", "infant", "newborn", "one", "two", "three", "first", "second", "third":
		return true
	}
	return false
}
