package bench

import (
	"math"
	"math/rand/v2"
	"strings"
)

// Names are drawn by rank, as common as names are: the n-th is drawn about 1/n^s
// as often as the first (Zipf's law). With these exponents the commonest given
// name is borne by about 2 in 100, the commonest family name by about 1 in 100, as
// in England.
var (
	girls = newRanking(0.35, strings.Fields(`
		Olivia Amelia Isla Ava Lily Ivy Freya Florence Mia Willow Rosie Sophia Isabella Grace Daisy Sienna Poppy Elsie
		Emily Ella Evelyn Phoebe Evie Charlotte Harper Millie Matilda Maya Sophie Alice Emilia Isabelle Ruby Luna Maisie
		Aria Penelope Mila Bonnie Eva Hallie Eliza Ada Violet Esme Arabella Imogen Jessica Delilah Chloe Orla Aurora
		Mabel Lottie Margot Robyn Zara Molly Layla Nancy Eleanor Maryam Fatima Aisha Zainab Khadija Safiya Hana Amina
		Zofia Julia Maja Lena Antonina Priya Anaya Diya Kavya Ananya Adaeze Chidera Ngozi Temitope Yewande Nia Ffion
		Seren Megan Carys Aoife Niamh Saoirse Ciara Roisin Abigail Hannah Leah Naomi Esther Miriam Beatrice Clara
		Darcie Summer Thea Amber Heidi Lyla Edith Iris Holly Anna Lucy Lola Scarlett Lara Martha Georgia Frankie
		Ottilie Felicity Lydia Annabelle Gracie Elizabeth Harriet Erin Mollie Jasmine Francesca Lilly Skye Rebecca`))
	boys = newRanking(0.35, strings.Fields(`
		Noah Muhammad George Oliver Leo Arthur Theodore Oscar Theo Freddie Henry Archie Luca Alfie Jack Charlie Tommy
		Harry Finley Arlo Roman Louie Elijah Teddy Thomas Hudson Reggie Jude Albie James Edward Rory Isaac Lucas Hugo
		Albert Jacob Mason Alexander Ezra Adam Joshua Max Reuben Sebastian William Benjamin Frederick Joseph Ralph Dylan
		Daniel Logan Harrison Mohammed Ibrahim Yusuf Ahmed Ali Omar Hamza Bilal Musa Abdullah Zayn Idris Jakub Antoni Jan
		Szymon Filip Kacper Arjun Rohan Aarav Vihaan Kabir Chukwuemeka Oluwaseun Tobi Kwame Kofi Femi Rhys Dylan Ioan
		Osian Gethin Cian Oisin Padraig Fionn Conor Samuel Caleb Gabriel Nathaniel Elias Felix Jesse Rupert Otis Rowan
		Jaxon Blake Grayson Kai Toby Ethan Stanley Ronnie Bobby Frankie Michael Riley Parker Jenson Zachary David Luke
		Matthew Sonny Ellis Harvey Ollie Callum Nathan Connor Jayden Tyler Bradley Kieran Aidan Declan Liam Robert Peter`))
	families = newRanking(0.55, append(strings.Fields(`
		Smith Jones Taylor Brown Williams Wilson Johnson Davies Patel Robinson Wright Thompson Evans Walker White Roberts
		Green Hall Wood Jackson Clarke Khan Ahmed Hughes Edwards Thomas Lewis Harris Martin Cooper King Baker Morris Clark
		Turner Hill Ward Morgan Moore Ali Cook Lee Watson Harrison Allen Young Hussain Parker Scott Begum Bennett Carter
		Phillips Mitchell Singh James Bailey Richardson Shaw Collins Bell Cox Miller Adams Murphy Kelly Webb Marshall Foster
		Simpson Ellis Richards Rogers Stevens Kaur Knight Hunt Barnes Gibson Mason Palmer Mills Holmes Powell Lloyd Rahman
		Islam Hussein Nowak Kowalski Wisniewska Popescu Ionescu Silva Santos Costa Okafor Okonkwo Adeyemi Mensah Osei
		Boateng O'Brien O'Connor Byrne Doyle McCarthy McDonald Campbell Stewart Fraser Nguyen Chen Wang Li Zhang Kaya Yilmaz
		Demir Dogan Haddad Rossi Garcia Fernandez Novak Horvath Petrov Ivanova Shah Mehta Desai Sharma Gupta Chowdhury Miah
		Uddin Akhtar Malik Iqbal Mahmood Aziz Farah Hassan Mohamed Warsame Abdi Tesfaye Bekele Mwangi Ndlovu Moyo Dube`),
		composed()...))
)

// composed are rarer family names, as English ones are made, in a fixed order
// that is not the alphabet's. They make the long tail that real ones have.
func composed() []string {
	first := strings.Fields(`Ash Barn Beck Bid Black Bol Brad Bram Brid Broad Bur Carl Chad Charl Clay Cliff Cran Crow
		Dal Den Dun East Elm Far Fen Fox Gar Gold Gran Green Hal Ham Har Hart Hawk Haz Hol Hunt Hurst Kel Ken Kirk Lang Lin
		Lock Long Mar Mel Mid Mor New Nor Oak Old Pen Pick Pres Rad Red Rock Row Rush Sand Shel Ship Sil Stan Stock Sut Thorn
		Tun Wal Wan West Whit Win Wolf Wood Wor Yar`)
	last := strings.Fields(`bourne bridge brook bury by combe cot croft dale den ell er field ford gate ham hurst ing
		ington land ley low man mere mont more over ridge sey shaw side smith son stead stone thorpe ton tree wall ward well
		wick wood worth`)
	all := make([]string, 0, len(first)*len(last))
	for _, f := range first {
		for _, l := range last {
			all = append(all, f+l)
		}
	}
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a population to repeat
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// ranking draws from a list by rank.
type ranking struct {
	names []string
	upTo  []float64 // the share of this name and those before it
}

func newRanking(exponent float64, names []string) *ranking {
	k := &ranking{names: names, upTo: make([]float64, len(names))}
	sum := 0.0
	for i := range names {
		sum += math.Pow(float64(i+1), -exponent)
		k.upTo[i] = sum
	}
	for i := range k.upTo {
		k.upTo[i] /= sum
	}
	return k
}

func (k *ranking) draw(r *rand.Rand) string {
	at := r.Float64()
	low, high := 0, len(k.upTo)-1
	for low < high {
		if mid := (low + high) / 2; k.upTo[mid] < at {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return k.names[low]
}
