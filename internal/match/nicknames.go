package match

import (
	_ "embed" // for the list
	"strings"
)

// groupsOf gives the groups of each name in nameGroups.
var groupsOf = readGroups(nameGroups)

// formal marks, in a group number, the name that heads the group, and every
// name of a group that lists spellings only.
const formal uint16 = 1 << 15

// readGroups numbers the lines; a name may stand in several, because Sam is
// both Samuel and Samantha, who are not each other.
func readGroups(list string) map[string][]uint16 {
	m := make(map[string][]uint16)
	for i, line := range strings.Split(strings.TrimSpace(list), "\n") {
		line, spellings := strings.CutPrefix(line, "=")
		for j, name := range strings.Fields(line) {
			g := uint16(i)
			if j == 0 || spellings {
				g |= formal
			}
			m[name] = append(m[name], g)
		}
	}
	return m
}

// kin is how two names are related by the groups.
type kin uint8

const (
	notKin    kin = iota
	cousins       // short for one formal name, as Ellie and Elsie are for Elizabeth
	sameFor       // formal and short
	spellings     // two spellings of one name
)

// kinOf finds the closest relation of two names.
func kinOf(a, b []uint16) kin {
	found := notKin
	for _, x := range a {
		for _, y := range b {
			if x|formal != y|formal {
				continue
			}
			switch {
			case x&y&formal != 0:
				return spellings
			case (x|y)&formal != 0:
				found = sameFor
			default:
				found = max(found, cousins)
			}
		}
	}
	return found
}

// nameGroups holds one formal name a line with the short forms and spellings
// in use for it in England, transliterations included. It is common knowledge,
// not a data set; a missing pair costs a little evidence, never a decision. The
// formal name comes first; a line that starts with = lists spellings only.
// Names given to different siblings alike (Ellie and Elsie, Harry and Harvey)
// are kept apart on purpose.
//
//go:embed nicknames.txt
var nameGroups string
