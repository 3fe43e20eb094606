package match

import "strings"

// groupsOf gives the groups of each name in nameGroups.
var groupsOf = readGroups(nameGroups)

// formal marks, in a group number, the name that heads the group, and every
// name of a group that lists spellings only.
const formal uint16 = 1 << 15

// readGroups numbers the lines; a name may stand in several, because Sam is
// both Samuel and Samantha, who are not each other.
func readGroups(list string) map[string][]uint16 {
	m := make(map[string][]uint16)
	for i, line := range strings.Split(list, "\n") {
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
	notKin  kin = iota
	cousins     // short for one formal name, as Ellie and Elsie are for Elizabeth
	sameFor     // formal and short, or two spellings
)

// kinOf finds the closest relation of two names.
func kinOf(a, b []uint16) kin {
	found := notKin
	for _, x := range a {
		for _, y := range b {
			if x|formal != y|formal {
				continue
			}
			if (x|y)&formal != 0 {
				return sameFor
			}
			found = cousins
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
const nameGroups = `aaron aron arron ronnie
abigail abbie abby abbi abi gail abigale abbigail
adam addy
adrian ade
=aidan aiden ayden aden aydin
alan allan allen al
albert al bert bertie albie alby
alexander alex alec al xander zander sandy sasha lex alexandre aleksander alexsander aleksandr iskander
alexandra alex lexi lexie sandra sandy sasha alexa lexy aleksandra alexandria
alexis alex lexi lexie
alfred alf alfie fred freddie alfy
alice ali allie alys
alison allison ali
alistair alasdair alastair alister ali
amanda mandy
amelia amy millie milly amelie
amy aimee ami amie
andrew andy drew andrzej andre
andrea andy
angela angie ange
angelina angie angel
ann anne anna annie
anastasia ana stacey stacie annie
anthony tony ant antony toni
antonia toni
annabel annabelle anabel bella belle anna annie
annabella bella anna annie
arabella bella
arthur art artie
ashley ash ashleigh ashlee ashlea
ashton ash
august augustus gus
barbara barb babs barbie
barnaby barney
barry baz barrie
beatrice bea trixie beatrix bee
benjamin ben benny benji benjy
benedict ben
bernadette bernie
bernard bernie
bethany beth bethan bethanie
bradley brad
brandon bran
brian bryan
brendan brendon
bridget biddy bridie brigid
cameron cam
caroline carrie caz carolyn
carol carole
catherine katherine kathryn cathryn katharine kate katie kathy cathy kat cat kitty kath katy kayleigh katarzyna kasia
caleb cal
callum calum cal
calvin cal
charles charlie chuck chas chaz charley
charlotte charlie lottie lotte charley char lotty
chloe khloe cloe clo
christian chris kris kristian
christina tina chris chrissy krystyna kristina christine chrissie
christopher chris kit topher kris christoper krzysztof
clara claire clare clair
claudia claud
clementine clem clemmie
clifford cliff
connor conor conner con
constance connie
cordelia delia
crystal chrystal krystal
daisy daisie
daniel dan danny danyal daniyal danial danyaal
danielle dani danni daniella
darren daz
david dave davey davy daud dawud dawood daoud
deborah deb debbie debs debra
declan dec
dennis denis den
dexter dex
diana di diane dianne
dominic dom dominick nick
donald don donnie
dorothy dot dottie dolly dotty
douglas doug dougie
dylan dillon dillan
edward ed eddie ted teddy ned edd eduardo
edwin ed eddie
edith edie
edmund ed eddie ted
eleanor ellie nell nellie elinor elle nora ella eleanora elenor ellen elle
elizabeth liz lizzie beth betty lizzy eliza libby elsie bess betsy elisabeth elspeth lisa ellie elizabet elzbieta
elliot elliott eliot eliott
ella ellie elle
ellen ellie nell
eloise elouise ellie
emily em emmie emilie emmy milly millie emilia
emma em emmie
emmanuel manny emanuel
emmeline emmie
eric erik
esmeralda esme esmee
esther essie hester ester
ethan ethen
eugene gene
eva eve evie
evangeline evie eva
evelyn evie eve evelin
ezekiel zeke
faith faye
felicity flick fliss
fergus gus
finley finlay fin finn findlay
finnian finn fin
florence flo florrie flossie flora
frances fran frankie fanny francesca
francesca fran frankie chess cesca
francis frank frankie fran
franklin frank frankie
frederick fred freddie freddy frederic fredrick
gabriel gabe gab gabrial
gabriella gabrielle gabby gabi ella
gareth gaz
gary garry gaz
gemma jemma gem
geoffrey jeff geoff jeffrey
george georgie georg jerzy
georgia georgie george
georgina georgie gina
gerald gerry jerry ged
gerard gerry ged
gillian gill jill
grace gracie
graham graeme grahame
gregory greg gregor grzegorz
gwendolyn gwen
hannah hanna
harold harry hal
harriet hattie harriett harry
harrison harry
harvey harvie
hayley haley hailey
heather heth
helen helena elena nell
henry harry hal hen henri
henrietta hettie etta
holly hollie
hugh hughie huw hugo
ian iain
imogen immy imogene
isaac isaak ike issac ishaq zac
isabella bella isabel isabelle izzy ella issy isobel izabella isobelle ysabel
isabel isobel isabelle izzy bella belle issy isobelle
isla ayla
israel izzy
jack jackson jak
jacob jake jakob jakub cob
jacqueline jackie jacqui
james jim jimmy jamie jem
jane janey janie jayne
janet jan
jasmine jas jaz jazz yasmin jasmin jazmin yasmine
jason jay jase
jayden jay jaden jaiden jaydon jaydan
jean jeanie jeannie
jemima mima jem
jennifer jen jenny jenni jenn
jeremy jez jerry jem
jeremiah jerry jem
jerome jerry
jessica jess jessie jessika
joan joanie
joanna jo joanne joann
joel jo
john johnny jon jack johnnie
jonathan jon jonny jonathon johnathan jonathen johnny
jordan jordy jord
joseph joe joey jo josef jozef yusuf yousef jos
josephine jo josie fina
joshua josh joshuah
josiah joe
joyce joy
judith judy jude
julia jules julie
julian jules
katrina trina kat
kayleigh kayley kaylee keeley
keith keef
kenneth ken kenny
kevin kev
kimberly kim kimberley kimmy
=kieran kieron keiran kieren ciaran kiran
kyle kile
lachlan lockie
laura laurie lori
lauren laurie loren
lawrence larry laurence laurie lawrie loz
leah lea lia
leo leon leonardo lenny
leonard len leo lenny leonardo
leslie les lesley
lewis lew louis lou
lillian lily lilly lil lilian lillie lilliana liliana
lily lilly lillie lil
linda lin lyn lindy lynda
lindsay lindsey
logan logie
louis lewis lou louie luis
louise lou lulu louisa
lucas luke luca lukas lucca luka
lucille lucy
lucy lu luce lucie luci lucinda
luke luk luc
lydia liddy
lynn lynne lyn
madeleine maddie maddy madeline madelyn mads
madison maddie maddy maddison madi
magdalena magda lena maggie
maisie maisy mazie maisey
malcolm malc mal
marcus marc mark markus
margaret maggie meg peggy marge margie madge greta megan daisy rita malgorzata gosia
maria marie mary mariam
=mariam maryam miriam marium meriem mariyam maryum
marilyn mary
marjorie marj
mark marc
martha marty mattie
martin marty martyn marcin
mary molly mollie polly may mae maria marie
mason mase
matilda tilly mattie tillie tilda
matthew matt matty mathew mateusz
maurice mo morris
maximilian max maxi
maximus max
maxine max
maxwell max
megan meg meghan meagan
melanie mel
melissa mel lissa missy
mia miah
michael mike mick mickey micky mikey mikael micheal michal mikhail
michaela mikaela mica
michelle shelly shell chelle
millicent millie milly
mildred millie milly
miranda mindy randi
miriam mim mimi
mitchell mitch
molly mollie moll
morgan morgen
=mohammed mohamed muhammad mohammad muhammed mohamad muhamad mohamud mohamoud mehmet muhammet mo md mohd mohammod muhammod mohammud mohammada muhammadu
nadia nadya
nancy nan
naomi nomi noemi
natalie nat natalia nataly
natasha tash tasha natascha
nathan nate nat
nathaniel nathan nat nate nathanael
neil neal niall
nevaeh neveah
=niamh neve neave neeve
nicholas nick nicky nicolas nico nik nikolas nickolas mikolaj
nicole nicky nikki nicola nic
nicola nicky nikki nic
nigel nige
noah noa
norman norm
oliver ollie olly oli oli olivier
olivia liv livvy ollie livia olive liv alivia
oscar oskar ozzie
oswald ozzie oz
pamela pam
patricia pat patsy trish tricia patti patty
patrick pat paddy patryk padraig rick
paul pauly pawel
paula pauly
penelope penny pen nell
percival percy
peter pete piotr
philip phil phillip pip filip
philippa pippa pip phillipa
phoebe phebe pheobe
poppy pops
priscilla cilla
rachel rach rachael rachelle
ralph ralf
raymond ray
rebecca becky becca bex rebekah becci
reginald reg reggie
reuben ruben rueben
=rhys reece reese rees
richard rick ricky dick rich richie dickie
robert rob bob robbie bobby bert robin bobbie
roberta bobbie
robyn robin
roderick rod rory
rodney rod
roger rog
roland rolly rowland
ronald ron ronnie
rosemary rosie rose
rose rosie rosa
rosalind roz ros rosie
rosalie rosie rose
rowan rohan
roxanne roxy
rory ruairi
russell russ
ruth ruthie
ryan rian
samantha sam sammy sammi
samuel sam sammy samual
sandra sandy
sarah sara sally sadie
scarlett scarlet scarlette
=sean shaun shawn
sebastian seb bas bastian sebastien
serena rena
shannon shan
sharon shaz shazza
sheila sheelagh
shirley shirl
siobhan shivaun
simon si szymon
sophia sophie sofia sophy zofia sofie soph sofija
sophie sofie soph
stanley stan
stella ella
stephanie steph stephany stefanie stevie
stephen steven steve stevie stephan stefan
stuart stu stewart
susan sue susie suzie suzy susanna
susanna susie susannah suzanna suzanne sue zuzanna
sydney syd sidney sid
sylvia syl
tabitha tabby
tamara tammy tam
tamsin tammy
terence terry tel terrence
teresa theresa terry tess tessa tracy
theodore theo ted teddy teodor
thomas tom tommy tomas thom tomasz
tiffany tiff
timothy tim timmy
toby tobias tobi
tobias toby
tracey tracy
tristan tristram trystan
valentina val tina
valerie val
vanessa nessa ness
veronica ronnie roni
victor vic viktor
victoria vicky vicki tori vic vikki wiktoria viktoria
vincent vince vinny vinnie
violet vi
virginia ginny
vivian viv vivienne vivien
walter wally walt
wayne waine
wilfred wilf fred freddie wilfrid alfie
wilhelmina mina billie minnie
william will bill billy willy willie billie wil
winifred winnie freda fred
winston winnie
wojciech wojtek
xavier xav javier
yvonne eve
yvette eve
zachary zac zach zak zack zachery zachariah zackary zacharia zachariah
zara zarah zahra
zoe zoey zowie zoie
aarav arav
aaliyah aliyah aleah aliya alia aaliya
=aisha ayesha aishah aysha aiesha ayisha aesha
abdullah abdulla abdallah abdullahi
abdulrahman abdurrahman abdurahman abdirahman abdul
abdul abdool
ahmed ahmad ahmet ahamed
ali aly
amina aminah ameena amna aamina
amir ameer aamir
arham arhaan
ayaan ayan ayyan
bilal bilaal belal
=fatima fatimah fatema fathima fatma fatoumata faatimah
farhan farhaan
habib habeeb
hafsa hafsah hafza
haider hayder haydar haidar
halima haleema halimah
hamza hamzah hamsa
haris harris haaris harith
hasan hassan
=husain hussain hussein husayn hussayn hossain hussien hosain
ibrahim ebrahim ibraheem ibrahima abraham
idris idrees
imran emran imraan
inaya inayah anaya anayah
ismail ismaeel ismael esmail
jamal jamaal gamal
kareem karim
khadija khadijah khadeeja kadija
khalid khaled
=layla leila laila leyla lailah lela
maham mahum
mahmood mahmud mahmoud mehmood
malik maalik
mansoor mansur
mustafa mustapha moustafa mustafah
nabil nabeel
nasir naseer
nusrat nusrath
omar umar omer umer
osman usman uthman othman
qasim kasim qaasim
rahim raheem
rahman rehman
rashid rasheed
rayan rayyan rayaan
rehan rayhan rehaan
saad sad
safa safaa
safiya safiyah safia safiyya sofia
salim saleem
salma selma
samir sameer
sana sanaa
sumaya sumaiya sumayyah sumayya sumaiyah
syed sayed sayyid sayed
tahir taahir
tariq tarik tarek
yahya yahia yehia yahyaa
yasin yaseen yassin
younis yunus younus yunis
=yusuf yousuf yousef youssef yusef joseph yousaf yusaf
zainab zaynab zeinab zeynab zaineb zainub
zakariya zakaria zakariyya zachariah zakariyah
=zayn zain zane zayne zein
zoya zoyah
harpreet harprit
jaspreet jasprit
arjun arjan
gurpreet gurprit
krishna krish
vihaan vihan
agnieszka aga
aleksandra ola
katarzyna kasia kasha
malgorzata gosia
michal michael
pawel paul
piotr peter
stanislaw stas
zbigniew zbyszek
volodymyr vladimir vova
oleksandr alexander sasha
mykola nikolai
olena elena helen
kateryna katya catherine
yelena elena
dmytro dmitri dima dmitry
ivan john
jan john
juan john
giovanni john
jose joseph
miguel michael
pedro peter
pablo paul
francisco paco
guillermo william
bob bobby bobbie
ellie elly elli
billie billy
frankie franky
teddy teddie
tommy tommie
archie archibald archi archy
rafael raphael rafe rafi
=caitlin katelyn caitlyn kaitlyn kaitlin catelyn
keira kiera kyra ciara kira
leila lila
maya maia
nia niah
rhiannon rhian
sienna siena
skye sky
summer sumer
teagan tegan
tyler tylor
alana alanna alannah
ava avah
ayla aila
amber ambar
bailey bayley
brooke brook
cassandra cass cassie cassidy
clarissa clara
darcey darcy darcie
demi demie
eliza liza
elodie elodi
eliana elliana
erin eryn
esme esmee
fabian fabio
freya freyja
harley harleigh
hollie holly
india indie
indiana indie
indigo indie
jaxon jackson jaxson jax
jodie jody
kai kye
=kaiden kayden caden kaden cayden
kaitlin caitlin
keegan kegan
kian kyan cian keon
kirsty kirstie
lacey lacie
lana lanna
leighton layton
lara larah
lyla lila lilah
marley marlee
mckenzie mackenzie kenzie
nell nellie
orla orlagh
paige page
quinn quin
rafferty raff
riley reilly rylee ryley
robbie robby
roman romain
ronnie ronny
rosa rosie
roxy roxie
ruby rubie
seren serren
sonny sunny
stevie stevi
taylor tayler
tia tiana
tilly tillie
vinnie vinny
willow wilow
yasmin yasmeen yasmine jasmine
zak zac`
