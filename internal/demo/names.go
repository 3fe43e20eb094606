package demo

import "strings"

// culture is a group of families with names in common. Parents and practitioners
// bear names of the same lists.
type culture struct {
	share       int // of a hundred families
	girls, boys []string
	surnames    []string
	ethnicities []string // DfE codes
}

func words(s string) []string { return strings.Fields(s) }

// cultures are the names of an English county with a port, a university and farms.
var cultures = []*culture{
	{
		share: 68,
		girls: words(`Olivia Amelia Isla Ava Mia Ivy Lily Freya Florence Willow Emily Sophie Grace Evie Poppy Ella Charlotte
			Daisy Harper Rosie Millie Phoebe Matilda Alice Elsie Ruby Chloe Jessica Erin Lucy Hannah Martha Eleanor Beatrice
			Imogen Zoe Holly Molly Georgia Abigail Megan Bethany Heidi Niamh Caitlin Katherine Elizabeth Victoria Rebecca`),
		boys: words(`Noah Oliver George Arthur Leo Harry Oscar Archie Henry Jack Theodore Freddie Charlie Thomas Alfie Jacob
			Joshua William Edward James Isaac Lucas Max Logan Daniel Toby Samuel Reuben Harrison Joseph Benjamin Finley Ethan
			Adam Rory Elliot Jude Ronnie Stanley Louis Albert Frederick Hugo Callum Declan Alexander Matthew Nathaniel Robert`),
		surnames: words(`Smith Jones Taylor Brown Clarke Wright Walker Green Cooper Ward Baker Turner Parker Carter Bailey Reeve
			Larter Mason Cook Bell Shaw Hunt Palmer Gooch Howes Bunn Thirtle Catchpole Dack Pye Sayer Utting Wymer Youngs Rix
			Cushing Barnes Cole Fisher Harvey Kemp Lake Nudd Mace Moore Myhill O'Brien O'Neill Macdonald Fitzgerald Pratt Rose
			Spinks Stearman Tooley Thompson Vincent Watts Webster Whitaker Bond-Hill Carey-Jones Saint-Ryan Waters Frost Blythe`),
		ethnicities: words(`WBRI WBRI WBRI WBRI WBRI WBRI WIRI WOTH MWBC MOTH`),
	},
	{
		share: 11,
		girls: words(`Aisha Zara Priya Anaya Fatima Maryam Ananya Diya Zainab Simran Jasleen Aaliyah Meera Isha Khadija Hafsa
			Nisha Riya Sana Tanvi Kavya Inaya`),
		boys: words(`Muhammad Arjun Ayaan Zayn Rohan Aarav Ibrahim Hamza Vihaan Dev Harpreet Jaspal Bilal Usman Kabir Rayan
			Ishaan Imran Advik Sahil Yusuf Haris`),
		surnames:    words(`Khan Patel Singh Kaur Ahmed Hussain Begum Ali Sharma Nair Reddy Chowdhury Rahman Mahmood Iqbal Gill Desai Das`),
		ethnicities: words(`AIND APKN ABAN AOTH MWAS`),
	},
	{
		share: 9,
		girls: words(`Zuzanna Julia Maja Zofia Hanna Lena Oliwia Aleksandra Natalia Wiktoria Łucja Emilia Daria Ioana Andreea
			Gabija Elena Agnieszka`),
		boys: words(`Jakub Antoni Szymon Filip Kacper Mateusz Wojciech Stanisław Michał Oskar Łukasz Piotr Andrei Matei Lukas
			Domantas Nikolai Tomasz`),
		surnames: words(`Nowak Kowalski Wiśniewski Wójcik Kamiński Lewandowski Zieliński Szymański Woźniak Dąbrowski Mazur
			Popescu Ionescu Kazlauskas Petrauskas Ivanov Wołek`),
		ethnicities: words(`WOTH`),
	},
	{
		share: 7,
		girls: words(`Adaeze Chiamaka Ngozi Temperance Ayomide Folake Efua Abena Akosua Thandiwe Rutendo Makena Wanjiru Sade
			Precious Esther Blessing`),
		boys: words(`Chidi Emeka Oluwaseun Tunde Kwame Kofi Kwabena Tendai Tatenda Themba Kamau Otieno Samuel Emmanuel
			Babatunde Obinna Divine`),
		surnames:    words(`Okafor Adeyemi Mensah Boateng Osei Nwosu Okonkwo Abiola Ncube Moyo Dlamini Mwangi Kamau Oduya Asante Sesay`),
		ethnicities: words(`BAFR BAFR BOTH MWBA`),
	},
	{
		share:       5,
		girls:       words(`Layla Noor Yasmin Salma Rania Hala Mariam Amira Dina Leen Shahad Rima Hiba Nadia`),
		boys:        words(`Omar Ahmad Khalid Yousef Karim Tariq Hassan Mustafa Sami Zaid Faisal Nabil Adnan Ziad`),
		surnames:    words(`Al-Hassan Haddad Khoury Mansour Saleh Nasser Al-Masri Farouk Aziz Hamdan Barakat Darwish Said El-Amin`),
		ethnicities: words(`OOTH MOTH`),
	},
}

// shortNames are what children are called for short.
var shortNames = map[string]string{
	"Amelia": "Millie", "Olivia": "Liv", "Charlotte": "Lottie", "Eleanor": "Ellie", "Elizabeth": "Beth", "Katherine": "Katie",
	"Jessica": "Jess", "Abigail": "Abi", "Matilda": "Tilly", "Florence": "Flo", "Victoria": "Vicky", "Rebecca": "Becky",
	"Beatrice": "Bea", "Imogen": "Immy", "Georgia": "Georgie", "Oliver": "Ollie", "Thomas": "Tom", "William": "Will",
	"Edward": "Ted", "Samuel": "Sam", "Joseph": "Joe", "Benjamin": "Ben", "Daniel": "Dan", "Joshua": "Josh", "Theodore": "Theo",
	"Frederick": "Fred", "Alexander": "Alex", "Matthew": "Matt", "Nathaniel": "Nat", "Robert": "Rob", "Albert": "Bertie",
	"Harrison": "Harry", "Jacob": "Jake", "James": "Jamie", "Zuzanna": "Zuzia", "Aleksandra": "Ola", "Wojciech": "Wojtek",
	"Muhammad": "Mo", "Oluwaseun": "Seun", "Emmanuel": "Manny", "Michał": "Misiek",
}

// spellings are surnames and given names that offices mix up.
var spellings = map[string]string{
	"Clarke": "Clark", "Reeve": "Reeves", "Brown": "Browne", "Green": "Greene", "Thompson": "Thomson", "Macdonald": "MacDonald",
	"O'Brien": "OBrien", "O'Neill": "O'Neil", "Cook": "Cooke", "Barnes": "Barns", "Shaw": "Shore", "Hussain": "Hussein",
	"Ahmed": "Ahmad", "Rahman": "Rehman", "Chowdhury": "Choudhury", "Wójcik": "Wojcik", "Wiśniewski": "Wisniewski",
	"Kamiński": "Kaminski", "Szymański": "Szymanski", "Woźniak": "Wozniak", "Dąbrowski": "Dabrowski", "Zieliński": "Zielinski",
	"Wołek": "Wolek", "Al-Hassan": "Al Hassan", "El-Amin": "Elamin", "Mansour": "Mansoor", "Bond-Hill": "Bond Hill",
	"Carey-Jones": "Carey Jones", "Saint-Ryan": "St Ryan", "Adeyemi": "Adeyimi", "Okafor": "Okafar",
	"Sophie": "Sofie", "Chloe": "Chloë", "Zoe": "Zoë", "Niamh": "Neve", "Caitlin": "Kaitlin", "Erin": "Eryn", "Isla": "Ila",
	"Elliot": "Elliott", "Finley": "Finlay", "Rory": "Rorie", "Callum": "Calum", "Aisha": "Ayesha", "Zainab": "Zaynab",
	"Maryam": "Mariam", "Muhammad": "Mohammed", "Yusuf": "Yousuf", "Łucja": "Lucja", "Stanisław": "Stanislaw", "Łukasz": "Lukasz",
	"Michał": "Michal", "Zofia": "Sofia", "Wiktoria": "Victoria", "Oskar": "Oscar", "Yousef": "Yousif", "Khalid": "Khaled",
}
