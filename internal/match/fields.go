package match

import (
	"fmt"
	"slices"
)

// Class is what a pair of records may be to each other.
type Class uint8

// The four latent classes.
const (
	SameChild Class = iota
	Twin            // born on the same day in one household
	Sibling         // of one household, born on another day
	Stranger
	classes = 4
)

var classNames = [classes]string{"SAME_CHILD", "TWIN", "SIBLING", "STRANGER"}

// String is the class's name in explanations and in the API.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "UNKNOWN"
}

// MarshalText writes the class's name, for stored explanations.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *Class) UnmarshalText(text []byte) error {
	i := slices.Index(classNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("match: no class %q", text)
	}
	*c = Class(i) //nolint:gosec // an index of four
	return nil
}

// Field is one thing compared between two records. The order is that of the
// waterfall: what a family shares first, what tells its children apart next,
// identifiers last.
type Field uint8

// The fields compared.
const (
	FieldResidence Field = iota // postcode and address, which move together
	FieldTelephone
	FieldEmail
	FieldFamilyName
	FieldDateOfBirth
	FieldSex
	FieldGivenName
	FieldMiddleNames
	FieldNHSNumber
	FieldUPN
	FieldIdentifier
	FieldOther
	numFields
)

var fieldNames = [numFields]string{
	"residence", "telephone", "email", "family_name", "date_of_birth", "sex",
	"given_name", "middle_names", "nhs_number", "upn", "identifier", "other",
}

// String is the field's name in explanations and in model files.
func (f Field) String() string {
	if f < numFields {
		return fieldNames[f]
	}
	return "unknown"
}

// Level is how far two values of a field agree. Its meaning depends on the
// field; LevelName gives the word. NotCompared, the zero Level, says that one
// side has no value, which is no evidence.
type Level uint8

// NotCompared is the level of every field that is empty on either side.
const NotCompared Level = 0

// Levels of the residence.
const (
	residenceSame         Level = iota + 1 // same address, same postcode or one slip away
	residenceAddress                       // same house number and street, postcode missing or other
	residenceStreet                        // same street and postcode (one slip allowed), number missing or other
	residencePostcodeTown                  // same postcode (one slip allowed) and town or house number, another or no street
	residencePostcode                      // same postcode only
	residenceStreetName                    // a street of the same name, or the same number in one town, all else other or missing
	residenceSector                        // same postal sector (all but the last two of a postcode) only
	residenceTown                          // same town only
	residenceOutward                       // same postal district only
	residenceOther
)

// Levels of a family or given name. Not every one occurs in both.
const (
	nameExact     Level = iota + 1
	nameSpelling        // given: spelt otherwise, said the same: Jaxon and Jackson, Mohammed and Muhammad
	nameVariant         // nickname, sounds the same, or the other sex's form: Kowalska and Kowalski
	nameSlip            // what a slip of the pen or keyboard makes of the same name
	nameReordered       // given: the same names in another order or in other columns
	namePart            // all words of the shorter among those of the longer: Smith-Jones and Jones, Lily-May and Lily
	nameFormer          // family: equal to a former name; given: the other's middle name
	nameInitial         // one side gives only the initial
	nameCrossed         // given and family name in each other's place
	nameSimilar         // alike, but could well be two children's names
	nameOther
)

// Levels of the date of birth.
const (
	bornSame    Level = iota + 1
	bornPartial       // one side knows only year or month, which agree
	bornSwapped       // day and month in each other's place
	bornSlip          // one digit other, or two digits of one part swapped
	bornPart          // two of day, month and year agree
	bornYear          // same year only
	bornOther
	bornGeneration // so far apart that one may be the other's parent
)

// Levels of middle names.
const (
	middleSame Level = iota + 1
	middleInitial
	middleOther
)

// Levels of telephones, sex and identifiers; of the rest with closeSimilar.
const (
	equal Level = iota + 1
	different
)

// Levels of e-mail, other identifiers and other text.
const (
	closeSame Level = iota + 1
	closeSimilar
	closeOther
	// Other text of records from one place: it is often the place's name, and
	// then agrees because the residence does.
	closeSameThere
	closeOtherThere
)

var (
	equalLevels = []string{"not_compared", "same", "different"}
	closeLevels = []string{"not_compared", "same", "similar", "different"}
	levelNames  = [numFields][]string{
		FieldResidence:   {"not_compared", "same", "same_address", "same_street", "same_postcode_town", "same_postcode", "same_street_name", "same_sector", "same_town", "same_district", "different"},
		FieldTelephone:   equalLevels,
		FieldEmail:       closeLevels,
		FieldFamilyName:  {"not_compared", "same", "spelling", "variant", "slip", "reordered", "part", "former", "initial", "crossed", "similar", "different"},
		FieldDateOfBirth: {"not_compared", "same", "partial", "day_month_swapped", "slip", "two_parts", "year", "different", "generation_apart"},
		FieldSex:         equalLevels,
		FieldGivenName:   {"not_compared", "same", "spelling", "variant", "slip", "reordered", "part", "middle_name", "initial", "crossed", "similar", "different"},
		FieldMiddleNames: {"not_compared", "same", "initial", "different"},
		FieldNHSNumber:   equalLevels,
		FieldUPN:         equalLevels,
		FieldIdentifier:  closeLevels,
		FieldOther:       append(closeLevels[:len(closeLevels):len(closeLevels)], "same_from_one_place", "different_from_one_place"),
	}
)

// LevelName is the word for a level of a field, as explanations and model
// files use it.
func LevelName(f Field, l Level) string {
	if f < numFields && int(l) < len(levelNames[f]) {
		return levelNames[f][l]
	}
	return "unknown"
}

// maxLevels is one more than the most levels a field has.
const maxLevels = int(max(residenceOther, nameOther)) + 1
