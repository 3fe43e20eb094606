package match

import (
	"maps"
	"strings"
)

// Default is the model to start with: weights set by hand, before the hub has
// data of its own to learn from. How often one child's own records disagree is
// taken from published studies (names: 18% of family, 12% of given names in
// ALSPAC; sex and date of birth about 0.1% wrong or missing, half of all
// postcodes changed over the years, in HES–PDS), leaning to more error than
// they found in dates, since agencies type what hospitals check.
func Default() *Model {
	m, err := New(defaultParameters())
	if err != nil {
		panic(err) //nolint:forbidigo // constants of this file, never input: its test is the only place this can happen
	}
	return m
}

func defaultParameters() Parameters {
	return Parameters{
		Version: "hand-1",
		// About a hundred thousand children, two records and one sibling each.
		Prior:       [classes]float64{1e-5, 5e-7, 1.5e-5, 0.99997},
		Levels:      defaultLevels(),
		Frequencies: defaultFrequencies(),
		Link:        0.99,
		Review:      0.30,
		Margin:      6,
	}
}

// levelShares is P(level | same child, twin, sibling, stranger) by level name.
type levelShares = map[string][classes]float64

func defaultLevels() map[string]levelShares {
	levels := householdLevels()
	maps.Copy(levels, childLevels())
	maps.Copy(levels, identifierLevels())
	return levels
}

// householdLevels are of what a family shares.
func householdLevels() map[string]levelShares {
	return map[string]levelShares{
		"residence": {
			"same":               {0.62, 0.74, 0.70, 1e-5},
			"same_address":       {0.06, 0.05, 0.05, 2e-5},
			"same_street":        {0.05, 0.04, 0.04, 4e-5},
			"same_postcode_town": {0.01, 0.005, 0.005, 1e-5},
			"same_postcode":      {0.03, 0.015, 0.015, 3e-5},
			"same_street_name":   {0.01, 0.005, 0.005, 1e-3},
			"same_sector":        {0.01, 0.005, 0.010, 2e-3},
			"same_town":          {0.01, 0.005, 0.005, 5e-3},
			"same_district":      {0.03, 0.010, 0.015, 0.018},
			"different":          {0.17, 0.125, 0.155, 0.9739},
		},
		"telephone": {
			"same":      {0.72, 0.68, 0.60, 1e-5},
			"different": {0.28, 0.32, 0.40, 0.99999},
		},
		"email": {
			"same":      {0.72, 0.64, 0.55, 1e-5},
			"similar":   {0.12, 0.06, 0.05, 2e-4},
			"different": {0.16, 0.30, 0.40, 0.9998},
		},
		"family_name": {
			"same":      {0.83, 0.80, 0.74, 1e-3},
			"variant":   {0.015, 0.015, 0.015, 1e-3},
			"slip":      {0.045, 0.03, 0.03, 1.5e-3},
			"part":      {0.035, 0.03, 0.03, 1e-3},
			"former":    {0.01, 0.005, 0.005, 3e-4},
			"initial":   {0.003, 0.003, 0.003, 0.02},
			"similar":   {0.012, 0.007, 0.007, 4e-3},
			"different": {0.05, 0.11, 0.17, 0.972},
		},
	}
}

// childLevels are of what tells the children of a family apart.
func childLevels() map[string]levelShares {
	return map[string]levelShares{
		"date_of_birth": {
			"same":              {0.955, 0.97, 0.0015, 1.6e-4},
			"partial":           {0.90, 0.90, 0.06, 0.03},
			"day_month_swapped": {0.010, 0.004, 1e-4, 1e-4},
			"slip":              {0.018, 0.010, 4e-3, 3e-3},
			"two_parts":         {0.009, 0.006, 6e-3, 7e-3},
			"year":              {0.004, 0.003, 0.010, 0.05},
			"different":         {0.004, 0.004, 0.95, 0.90},
			"generation_apart":  {1e-5, 1e-5, 0.03, 0.04},
		},
		"sex": {
			"same":      {0.994, 0.62, 0.5, 0.5},
			"different": {0.006, 0.38, 0.5, 0.5},
		},
		"given_name": {
			// Parents do not give one name to two children, neither in full and in
			// short nor in another order; what is left is a name typed into the
			// wrong child's record.
			"same":        {0.83, 0.001, 0.001, 5e-3},
			"spelling":    {0.020, 0.0003, 0.0003, 1e-3},
			"variant":     {0.035, 0.0015, 0.0015, 5e-3},
			"slip":        {0.030, 0.002, 0.002, 1e-3},
			"reordered":   {0.008, 0.0003, 0.0003, 2e-6},
			"part":        {0.018, 0.0006, 0.0006, 1e-3},
			"middle_name": {0.010, 0.001, 0.0015, 3e-3},
			"initial":     {0.020, 0.006, 0.006, 6e-3},
			"crossed":     {0.008, 1e-4, 1e-4, 2e-6},
			"similar":     {0.010, 0.030, 0.025, 0.012},
			"different":   {0.008, 0.95, 0.95, 0.966},
		},
		"middle_names": {
			"same":      {0.70, 0.04, 0.04, 0.012},
			"initial":   {0.22, 0.05, 0.05, 0.04},
			"different": {0.08, 0.91, 0.91, 0.948},
		},
	}
}

// identifierLevels are of numbers, and of text whose meaning is not known.
func identifierLevels() map[string]levelShares {
	return map[string]levelShares{
		"nhs_number": {
			"same":      {0.99, 0.010, 0.004, 1e-7},
			"different": {0.010, 0.990, 0.996, 0.9999999},
		},
		"upn": {
			"same":      {0.985, 0.005, 0.003, 1e-7},
			"different": {0.015, 0.995, 0.997, 0.9999999},
		},
		"identifier": {
			"same":      {0.85, 0.002, 0.002, 1e-6},
			"similar":   {0.08, 0.002, 0.002, 2e-5},
			"different": {0.07, 0.994, 0.994, 0.99998},
		},
		"other": {
			"same":      {0.70, 0.80, 0.70, 0.03},
			"similar":   {0.12, 0.05, 0.05, 0.01},
			"different": {0.18, 0.15, 0.25, 0.96},

			"same_from_one_place":      {0.85, 0.85, 0.80, 0.60},
			"different_from_one_place": {0.15, 0.15, 0.20, 0.40},
		},
	}
}

// defaultFrequencies spreads rounded shares over the names everyone meets; a
// hub replaces them with counts of its own.
func defaultFrequencies() Frequencies {
	t := Frequencies{GivenNames: map[string]float64{}, FamilyNames: map[string]float64{}, OtherGiven: 1e-3, OtherFamily: 3e-4, OtherText: 0.03}
	spread(t.GivenNames, veryCommonGiven, 0.010)
	spread(t.GivenNames, commonGiven, 0.004)
	spread(t.GivenNames, knownGiven, 0.0015)
	spread(t.FamilyNames, veryCommonFamily, 0.006)
	spread(t.FamilyNames, commonFamily, 0.0015)
	return t
}

func spread(table map[string]float64, names string, share float64) {
	for _, n := range strings.Fields(names) {
		n = onePrefix(n)
		if _, ok := table[n]; !ok {
			table[n] = share
		}
	}
}

const veryCommonGiven = `mohammed muhammad oliver jack harry george noah charlie jacob alfie oscar thomas james william
joshua daniel samuel ethan olivia amelia emily isla ava jessica ella isabella poppy mia sophie lily grace evie sophia
chloe charlotte ruby megan lucy`

const commonGiven = `leo archie henry joseph freddie max logan alexander arthur lucas theo isaac harrison edward mason
teddy finley adam benjamin sebastian riley matthew ryan luke lewis callum connor cameron jayden dylan tyler nathan
liam jake michael owen toby harvey jamie aaron kai ben reuben jude louie arlo rory elijah hunter ollie theodore louis
tommy ronnie roman albie freya florence alice ivy evelyn rosie phoebe sienna willow daisy elsie millie matilda ellie
erin hannah holly molly maisie abigail layla imogen scarlett eva lola bella amber leah georgia summer zara maya
elizabeth caitlin lauren bethany katie amy emma rebecca ellen jasmine harriet maryam fatima aisha zainab`

const knownGiven = `hayden jaydon kayden aiden brayden emelia emilia amelie aria arya ariya eleanor elena elisa eliza
elodie eloise emilie esme evan ewan ewen euan hugo ibrahim yusuf ali ahmed hassan hussain omar umar bilal hamza
zain zayn rayyan ayaan aryan arjun rohan rahul ravi dev jai jay joel josh jordan justin keegan kian kieran kyle
bryan brian bradley brandon brody blake caleb callan carter charles chester christian christopher cody cole conor corey
david declan dominic elliot elliott eric felix finlay finn francis frank frankie frederick gabriel grayson greyson
gregory harley harris hudson hugh ian ivan jackson jaxon jason jasper jenson jesse jonathan jonah josiah julian
kaiden kevin lachlan lee leon leonardo lincoln logan louis luca lukas marcus mark martin maxwell miles mitchell morgan
myles nathaniel nicholas noel otis otto parker patrick paul peter philip phillip quinn ralph raphael rafferty
reece rhys richard robert robin rowan rupert rufus samson scott sean seth shane shay simon sonny spencer stanley
stephen steven stuart sullivan taylor theodor tobias tom tony tristan tyrone vincent wilfred xavier zac zach zachary zak
abbie ada adele agatha agnes aimee alana alba alexa alexandra alexia alexis alina alisha aliyah aaliyah alyssa
amaya amelie amina amira amna anaya andrea angel angelina anna annabel annabelle anya april arabella ariana arianna
athena audrey aurora autumn ayesha ayla azalea beatrice beatrix beau bethan bonnie brooke callie camilla cara carly
carmen casey catherine cecilia celeste cerys ciara clara clementine cleo connie cora coral daniela danielle darcey darcie darcy
deborah delilah demi diana dorothy edith edie eden elisabeth ellis elsa emmie erica esther eve faith faye felicity fern
fiona flora francesca frances frankie freda gabriella gabrielle gemma georgie georgina gia gracie gwen hallie
harleigh hattie heather heidi helen helena hollie honey hope ines inaya india indie ingrid irene iris isabel isabelle
isobel ivie jade jane jemima jenna jennifer joanna jodie josephine josie julia juliet june kara karen kate katherine kathryn kayla
kayleigh keeley keira kelly kiera kimberley kira kitty kyra lacey laila lana lara laura leila lena lexi lexie
libby lilly lillian lily lottie louisa louise luna lydia lyla lyra mabel macy madeleine madison maddison maeve maggie
maia maria mariam marie marley martha mary maddie melissa melody mila millie mina minnie miriam mollie mya myla nancy naomi natalia
natalie natasha nell nellie neve niamh nicole nina noa nora norah nova nur ocean octavia olive orla paige paisley
pearl penelope penny petra pippa polly primrose quinn rachel raya rhea rhiannon rihanna robyn rosa rosalie rose
rosemary roxanne rowan rubie sadie safa safiya saffron sally samantha samara sana sara sarah sasha selena serena shannon
sara skye skyla sofia stella stephanie summer susan sylvie tabitha talia tamara tara taylor tess thea tia tiana tiffany
tilly valentina vanessa victoria violet vivienne wren yasmin yvie zahra zoe zoya zuri
harper harvie harrison alfred albert alan alec alex alice alicia alma amalia anita ann anne annie anthony antonia
archer arianne asher ashley ashton august austin axel bailey barnaby barney bobby bodhi brody bruno byron calvin casper
cassius clark claude conrad cooper cyrus damian damien danny darius darren dexter dennis diego eddie edmund edwin eli elias
ellis elvis emmanuel emmett enzo ernest ernie ezra fabian felix finnley fletcher floyd fox franklin fraser gary
gene gethin glen graham grant griffin gus guy hal hank harlan haris harold haroon harri harun hector henley herbert
hari idris igor ike ilyas isa isaiah ishaan israel jaden jago jai jamal jared jaxson jayce jed jeremiah jeremy jerome
jesse jim joe john jonas jorge jose juan junior kabir kaleb kane karim karl keanu keith kenneth khalid kit kobe kofi
koby kody kyan kye kylan laith laurence lawrence lennie lennon lenny leonard leonidas leroy levi lochlan lorenzo
luis lucian luka mac magnus malachi malakai malik marco mario marlon marshall mateo mathew max maximilian maximus micah
michal mikael milan milo mohamed monty moses mubarak musa mustafa nate ned neil niall nico nikita nikolas noor oakley olly omari
orson osman otis owain ozzy pablo percy pedro phoenix pip rafael rafe ralphie ray raymond reggie remi remy rex ricardo ricky
riaan rio river robbie rocco rocky roger ronan ronald rory ross roy ruben rudy russell saif salman sam sami santiago saul sayed
shaun shawn sid sidney silas solomon stefan stevie subhan sunny syed tariq ted terence teo tim timothy titus
tobi todd travis trevor troy ty umair usman victor vinnie vivaan wade walter warren wesley wilbur will willis wyatt yahya
yaqub yaseen yasin younis zachariah zaid zakariya zane zayan rayan hayyan zayd zayaan rayaan`

const veryCommonFamily = `smith jones taylor brown williams wilson johnson davies patel wright walker white edwards
green hall wood harris lewis martin jackson clarke khan ali ahmed hussain singh begum kaur`

const commonFamily = `robinson thompson evans roberts hughes thomas turner hill cooper morris ward moore clark baker
harrison king morgan lee allen james scott phillips watson davis parker bennett price griffiths young
cook cox mitchell carter shaw bell collins richardson murphy miller anderson marshall simpson richards ellis
adams shah hussein islam rahman akhtar chowdhury malik iqbal mahmood choudhury miah uddin hassan mohamed mohammed ahmad
khatun bibi hossain sheikh qureshi butt mirza rehman abdi ibrahim osman yusuf warsame kumar sharma gill sidhu
sandhu dhillon chaudhry nguyen li wang chen zhang liu wong chan adebayo okafor mensah owusu kamara
nowak kowalski kowalska wisniewski wojcik ivanov popa popescu ionescu
campbell stewart mcdonald macdonald reid murray graham hamilton kelly ryan walsh obrien oneill sullivan doyle byrne
mason hunt palmer holmes mills lloyd rogers butler russell barnes knight matthews jenkins barker webb fisher stevens
dixon harvey pearson chapman gibson powell owen rose foster gray grant fox webster reynolds payne west cole ford day
dean francis ferguson mcdonald johnston henderson pearce elliott hart spencer hudson wells ross kennedy gordon
hunter armstrong carroll andrews burton stone lane lawrence saunders berry hawkins walters perry
holland wheeler ball woods coleman bird porter warren newton french nicholson bishop lynch long fletcher bradley
cunningham oconnor ryan burns woodward hopkins peters sutton jordan may ashton atkinson dawson arnold poole`
