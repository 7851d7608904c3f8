"""Training pairs written for this purpose: everyday and support questions in English and Korean, worded in many ways, each with
near misses (another thing, another detail, another kind of question, the special case of a general one)."""
import random

# What someone wants to do: the verb, its -ing form, and two things that sound alike and are not the same.
GOALS = [
    ("learn to play the guitar", "learning to play the guitar", ["learn to play the piano", "learn to tune the guitar"]),
    ("lower my electricity bill", "lowering my electricity bill", ["lower my water bill", "pay my electricity bill"]),
    ("train a puppy", "training a puppy", ["train a parrot", "feed a puppy"]),
    ("grow tomatoes at home", "growing tomatoes at home", ["grow mushrooms at home", "store tomatoes at home"]),
    ("write a cover letter", "writing a cover letter", ["write a resignation letter", "format a cover letter"]),
    ("renew my passport", "renewing my passport", ["renew my visa", "replace my passport"]),
    ("export my contacts", "exporting my contacts", ["export my calendar", "merge my contacts"]),
    ("reset the router", "resetting the router", ["reset the printer", "hide the router"]),
    ("share a folder with my team", "sharing a folder with my team", ["share a calendar with my team", "share a folder with a guest"]),
    ("merge two accounts", "merging two accounts", ["merge two invoices", "split two accounts"]),
    ("update my billing address", "updating my billing address", ["update my shipping address", "download my billing address"]),
    ("remove a coffee stain", "removing a coffee stain", ["remove a wine stain", "remove a coffee table"]),
    ("sleep better at night", "sleeping better at night", ["breathe better at night", "sleep better on a plane"]),
    ("become a pilot", "becoming a pilot", ["become a nurse", "become a pilot in Canada"]),
    ("invest in gold", "investing in gold", ["invest in silver", "trade in gold futures"]),
    ("overcome stage fright", "overcoming stage fright", ["overcome jet lag", "cause stage fright"]),
    ("improve my handwriting", "improving my handwriting", ["improve my vocabulary", "analyze my handwriting"]),
    ("change the language of the app", "changing the language of the app", ["change the theme of the app", "change the language of the report"]),
    ("apply for a student loan", "applying for a student loan", ["apply for a student visa", "repay a student loan"]),
    ("memorize vocabulary", "memorizing vocabulary", ["memorize phone numbers", "test vocabulary"]),
    ("repair a leaking tap", "repairing a leaking tap", ["repair a leaking roof", "install a leaking tap"]),
    ("track my parcel", "tracking my parcel", ["track my refund", "send my parcel"]),
    ("make a website for my bakery", "making a website for my bakery", ["make a logo for my bakery", "make a website for my school"]),
    ("stop procrastinating", "stopping procrastinating", ["stop snoring", "start procrastinating"]),
    ("raise chickens", "raising chickens", ["raise goats", "sell chickens"]),
    ("convert a PDF to Word", "converting a PDF to Word", ["convert a PDF to Excel", "print a PDF in Word"]),
    ("add a second user", "adding a second user", ["add a second printer", "block a second user"]),
    ("learn Portuguese", "learning Portuguese", ["learn Italian", "teach Portuguese"]),
    ("quit my job politely", "quitting my job politely", ["quit my gym politely", "praise my job politely"]),
    ("cook brown rice", "cooking brown rice", ["cook brown lentils", "store brown rice"]),
    ("find a roommate", "finding a roommate", ["find a therapist", "evict a roommate"]),
    ("write a business plan", "writing a business plan", ["write a lesson plan", "sell a business plan"]),
    ("build muscle", "building muscle", ["build confidence", "lose muscle"]),
    ("start a podcast", "starting a podcast", ["start a bakery", "promote a podcast"]),
    ("prepare for a marathon", "preparing for a marathon", ["prepare for a wedding", "watch a marathon"]),
    ("recover a deleted file", "recovering a deleted file", ["recover a deleted message", "encrypt a deleted file"]),
    ("speak more confidently", "speaking more confidently", ["dress more confidently", "speak more quietly"]),
    ("get rid of ants", "getting rid of ants", ["get rid of moths", "identify ants"]),
    ("get over a breakup", "getting over a breakup", ["get through a breakup without crying", "suggest a breakup"]),
    ("make new friends", "making new friends", ["make new curtains", "lose new friends"]),
    ("make my child eat vegetables", "making my child eat vegetables", ["make my child do homework", "make my child grow vegetables"]),
    ("get someone to trust me", "getting someone to trust me", ["trust someone", "get someone to forgive me"]),
    ("publish a novel", "publishing a novel", ["publish a paper", "outline a novel"]),
    ("save money for a house", "saving money for a house", ["save money for retirement", "insure a house"]),
    ("study abroad", "studying abroad", ["work abroad", "retire abroad"]),
    ("learn statistics", "learning statistics", ["learn accounting", "teach statistics"]),
    ("take better photographs", "taking better photographs", ["sell better photographs", "take better notes"]),
    ("whiten my teeth", "whitening my teeth", ["straighten my teeth", "brush my teeth"]),
    ("block spam calls", "blocking spam calls", ["block spam mail", "record spam calls"]),
    ("free up space on my phone", "freeing up space on my phone", ["free up space on my laptop", "encrypt my phone"]),
]
HOW = [
    "How do I {v}?", "How can I {v}?", "What is the best way to {v}?", "What's the way to {v}?", "what should i do to {v}",
    "I want to {v}, how?", "Could you tell me how to {v}?", "How should one {v}?", "how to {v}", "What are good ways to {v}?",
    "What are some tips for {g}?", "Please explain how to {v}", "I need help {g}", "How does one {v}", "How do you {v}?",
    "What are the best ways to {v}?", "What can I do to {v}?", "Any advice on {g}?", "What is a good way to {v}?",
    "How would you {v}?", "Can someone explain how to {v}?", "What steps do I need to take to {v}?", "How can one {v}?",
]
MODIFIERS = [
    " in Berlin", " on Android", " for children", " without internet", " in winter", " for free", " as a beginner", " at work",
    " on a Mac", " under Windows", " with a credit card", " for a wedding", " in one week", " at 40", " without a degree",
    " after surgery", " with no experience", " in a small town",
]
OTHER_KINDS = [
    "Why should I {v}?", "When should I {v}?", "How long does it take to {v}?", "How much does it cost to {v}?",
    "Should I {v}?", "Where can I {v}?", "Who can {v}?", "What are the disadvantages of {g}?", "What do people think of {g}?",
    "Is {g} legal?", "Why is {g} difficult?", "What happens if I {v}?", "Is it worth {g}?", "What are the risks of {g}?",
    "How do I stop others from {g}?", "What is the history of {g}?",
]

# Something about a thing: ways to say what, and things of one sort.
FACTS = [
    (["the capital of", "the capital city of"], ["Peru", "Norway", "Kenya", "Hungary", "Chile", "Nepal"]),
    (["the population of", "the number of inhabitants of"], ["Peru", "Norway", "Kenya", "Hungary", "Chile", "Nepal"]),
    (["the history of", "the origin of"], ["jazz", "chess", "paper money", "the bicycle", "origami"]),
    (["the meaning of", "the definition of"], ["entropy", "karma", "inflation", "irony", "liberty"]),
    (["the side effects of", "the adverse effects of"], ["ibuprofen", "caffeine", "melatonin", "penicillin"]),
    (["the advantages of", "the benefits of", "the pros of"], ["solar power", "remote work", "cloud storage", "nuclear energy"]),
    (["the symptoms of", "the signs of"], ["flu", "malaria", "anemia", "asthma"]),
    (["the price of", "the cost of"], ["a violin", "saffron", "a kayak", "a hearing aid"]),
    (["the opening hours of", "the business hours of"], ["the museum", "the library", "the pharmacy", "the zoo"]),
    (["the main causes of", "the main reasons for"], ["inflation", "deforestation", "insomnia", "acne"]),
    (["the rules of"], ["chess", "cricket", "baseball", "go"]),
    (["the salary of", "the average pay of"], ["a nurse", "a plumber", "a data analyst", "a bus driver"]),
    (["the difference between"], ["a crocodile and an alligator", "jam and jelly", "weather and climate", "a virus and a worm"]),
    (["the eligibility criteria for", "the requirements for"], ["the scholarship", "the exchange programme", "a work permit"]),
]
FACT_FRAMES = [
    "What is {x}?", "What's {x}?", "Tell me {x}.", "Can you tell me {x}?", "I'd like to know {x}", "what are {x}", "Do you know {x}?",
    "{x}?", "could you explain {x} please", "What exactly is {x}?", "What are some of {x}?",
]
FACT_LIMITS = [" in the 19th century", " for pregnant women", " compared to last year", " and its alternatives", " in rural areas", " for beginners"]

REASONS = [
    ("the sky is blue", "is the sky blue"), ("cats purr", "do cats purr"), ("bread rises", "does bread rise"),
    ("my card was declined", "was my card declined"), ("the app crashes on start", "does the app crash on start"),
    ("leaves turn red in autumn", "do leaves turn red in autumn"), ("planes leave white trails", "do planes leave white trails"),
    ("onions make you cry", "do onions make you cry"), ("my order is delayed", "is my order delayed"),
    ("prices go up", "do prices go up"), ("dogs bark at night", "do dogs bark at night"), ("the screen flickers", "does the screen flicker"),
    ("some people snore", "do some people snore"), ("ice floats", "does ice float"), ("teenagers sleep late", "do teenagers sleep late"),
    ("gold is so expensive", "is gold so expensive"), ("whales sing", "do whales sing"), ("flights get cancelled", "do flights get cancelled"),
]
REASON_FRAMES = [
    "Why {q}?", "What is the reason that {s}?", "Can you explain why {s}?", "why {q}", "What are the reasons why {s}?", "How come {s}?",
    "Do you know why {s}?", "What is the reason behind the fact that {s}?", "I want to know why {s}", "What causes it that {s}?", "Why is it that {s}?",
]

# The best of a kind for a purpose: singular, plural, purposes.
BEST = [
    ("laptop", "laptops", ["architecture students", "video editing", "travel"]), ("book", "books", ["learning chemistry", "a long flight", "new managers"]),
    ("city", "cities", ["young families", "street food", "surfing"]), ("headphone", "headphones", ["running", "recording", "small ears"]),
    ("diet", "diets", ["diabetics", "swimmers", "lowering cholesterol"]), ("app", "apps", ["tracking expenses", "learning Japanese", "meditation"]),
    ("university", "universities", ["marine biology", "design in Italy", "evening classes"]), ("camera", "cameras", ["wildlife", "beginners", "night skies"]),
    ("exercise", "exercises", ["lower back pain", "posture", "seniors"]), ("bank", "banks", ["students", "small firms", "foreigners"]),
    ("website", "websites", ["freelance writers", "cheap train tickets", "free fonts"]), ("movie", "movies", ["a rainy day", "space fans", "learning French"]),
]
BEST_FRAMES = [
    "What is the best {one} for {p}?", "Which is the best {one} for {p}?", "What are the best {many} for {p}?", "Which {one} is best for {p}?",
    "Which {many} are best for {p}?", "What {one} would you recommend for {p}?", "Can you recommend a good {one} for {p}?",
    "What's a good {one} for {p}?", "What are some good {many} for {p}?", "best {one} for {p}?", "Which {one} should I choose for {p}?",
]
BEST_OTHERS = ["What is the worst {one} for {p}?", "Why do I need a {one} for {p}?", "How much does a {one} for {p} cost?", "How do I use a {one} for {p}?"]

CHOICES = [
    ("tea", "coffee", "cocoa"), ("renting", "buying", "leasing"), ("Postgres", "MySQL", "Oracle"), ("a cat", "a dog", "a hamster"), ("Lisbon", "Porto", "Faro"),
    ("law", "medicine", "history"), ("gas", "induction", "charcoal"), ("yoga", "pilates", "boxing"), ("a tablet", "a notebook", "a desktop"),
]
CHOICE_FRAMES = [
    "Which is better, {a} or {b}?", "What is better: {a} or {b}?", "Is {a} better than {b}?", "{a} or {b}, which one is better?", "Which one is better: {b} or {a}?",
    "Which do you think is better, {a} or {b}?", "Which should I choose, {a} or {b}?",
]
CHOICE_OTHERS = ["What is the difference between {a} and {b}?", "Can {a} and {b} be combined?", "Why do people like {a} and {b}?", "What do {a} and {b} cost?"]

MAKERS = [
    ("invented", "invent", "inventor", ["the zipper", "the stapler", "the microscope"]), ("wrote", "write", "author", ["Faust", "Emma", "Dracula"]),
    ("founded", "found", "founder", ["Lego", "Ikea", "Nestle"]), ("discovered", "discover", "discoverer", ["radium", "oxygen", "Neptune"]),
]
MAKER_FRAMES = ["Who {ed} {x}?", "Who was it that {ed} {x}?", "Who is the {er} of {x}?", "Do you know who {ed} {x}?", "Tell me who {ed} {x}", "What is the name of the {er} of {x}?"]
MAKER_OTHERS = ["When did they {v} {x}?", "Why did they {v} {x}?", "How did they {v} {x}?", "Where did they {v} {x}?"]

TOPICS = ["school uniforms", "electric scooters", "open offices", "space tourism", "night trains", "homework", "tipping", "zoos", "daylight saving time", "robot taxis"]
OPINIONS = [
    "What do you think about {t}?", "What is your opinion on {t}?", "What do you think of {t}?", "How do you feel about {t}?", "What are your views on {t}?",
    "What are your thoughts on {t}?", "what's your opinion about {t}", "What's your take on {t}?",
]
OPINION_OTHERS = ["What is the history of {t}?", "Who invented {t}?", "Are {t} allowed in Spain?", "How expensive are {t}?", "Should {t} be banned?", "Why are {t} so popular?"]

# Something to be found or shown: what it is, and what is not it.
WANTED = [
    ("vegan bakeries near the station", ["vegan butchers near the station", "vegan bakeries near the airport"]),
    ("ferries from Split to Hvar", ["ferries from Hvar to Split", "ferries from Split to Ancona"]),
    ("my invoices from last year", ["my contracts from last year", "my invoices from last month"]),
    ("open positions in marketing", ["open positions in accounting", "open questions in marketing"]),
    ("jazz concerts this weekend", ["jazz lessons this weekend", "jazz concerts next month"]),
    ("recipes with lentils", ["recipes with walnuts", "recipes without lentils"]),
    ("evening classes in pottery", ["evening classes in welding", "morning classes in pottery"]),
    ("campsites by the lake", ["cabins by the lake", "campsites by the sea"]),
    ("used bikes in Ghent", ["new bikes in Ghent", "used bikes in Liege"]),
    ("dentists in the old town", ["notaries in the old town", "dentists in the new town"]),
    ("the timetable of the night bus", ["the timetable of the ferry", "the route of the night bus"]),
    ("my bookings for August", ["my bookings for June", "my payments for August"]),
    ("photos of the old harbour", ["maps of the old harbour", "photos of the old mill"]),
    ("rooms with a balcony", ["rooms with a kitchen", "tables with a bench"]),
    ("my unread messages", ["my deleted messages", "my unread articles"]),
    ("the list of suppliers", ["the list of customers", "the map of suppliers"]),
]
WANTED_FRAMES = [
    "{x}", "Show me {x}", "show {x}", "Find {x}", "Find me {x}", "I'm looking for {x}", "I am searching for {x}", "Can you show me {x}?",
    "Please list {x}", "I want to see {x}", "I'd like to see {x}", "Can you find {x} for me?", "Give me {x}", "I need {x}", "Where can I find {x}?",
    "Could you look up {x}?", "Search for {x}", "Where do I see {x}?", "Please show me {x}", "let me see {x}",
]
WANTED_OTHERS = [
    "Hide {x}", "Who is in charge of {x}?", "How many people know {x}?", "Stop showing me {x}", "Why do people like {x}?", "I don't want to see {x}",
    "How do I share {x}?", "Do not list {x}",
]

# A state of a thing: two words for it, one for another, and the things.
STATES = [
    ("free", "available", "clean", ["the meeting room", "the tennis court", "the guest flat"], [" on Friday", " tonight", " at noon"]),
    ("closed", "shut", "crowded", ["the museum", "the bridge", "the town hall"], [" on Friday", " in winter", " during the holidays"]),
    ("broken", "out of order", "for sale", ["the lift", "the coffee machine", "the scanner"], ["", " again", " in building B"]),
    ("ready", "finished", "expensive", ["my visa", "the translation", "the repair"], ["", " by Monday", " in time"]),
]
STATE_FRAMES = ["Is {x} {s}{t}?", "Can you tell me if {x} is {s}{t}?", "I'd like to know whether {x} is {s}{t}", "is {x} {s}{t}", "Do you know if {x} is {s}{t}?"]

# What does not work: the thing, and other things.
TROUBLES = [("heating", "shower"), ("microphone", "camera"), ("search", "filter"), ("voucher", "receipt"), ("key card", "parking gate"), ("dark mode", "night shift")]
TROUBLE_FRAMES = [
    "The {x} does not work", "The {x} doesn't work", "the {x} is not working", "My {x} isn't working", "The {x} won't work", "{x} not working",
    "The {x} is not functioning", "the {x} has stopped working",
]
TROUBLE_OTHERS = ["The {x} works", "How does the {x} work?", "Who repaired the {x}?", "The {x} is working again", "Where is the {x}?"]

AMOUNTS = [("the turnover in spring", "the turnover in autumn"), ("the rent last year", "the rent next year"), ("our electricity bill in May", "our water bill in May"),
           ("the deposit for the hall", "the deposit for the car"), ("the fine for late return", "the fine for parking")]  # fmt: skip
AMOUNT_FRAMES = ["What was {x}?", "How much was {x}?", "how high was {x}", "Can you tell me how much {x} was?", "What was the amount of {x}?", "I'd like to know what {x} was"]
AMOUNT_OTHERS = ["Who paid {x}?", "Why was {x} so high?", "When was {x} due?", "Was {x} paid?"]

KO_PLACES = ["서울역", "인천공항", "우리 회사", "제주 매장", "부산 지점", "시청 도서관", "강남 센터", "과학관", "수영장"]
KO_FACTS = [
    ("영업시간", ["영업 시간", "운영시간"], ["주차요금", "전화번호", "주소"]), ("주차요금", ["주차 요금", "주차비"], ["영업시간", "입장료"]),
    ("입장료", ["입장 요금", "입장 비용"], ["주차비", "운영시간"]), ("전화번호", ["연락처", "전화 번호"], ["주소", "팩스번호"]),
    ("휴무일", ["쉬는 날", "휴일"], ["영업시간", "채용 일정"]), ("환불 규정", ["환불 정책", "환불 기준"], ["교환 규정", "회원 규정"]),
    ("와이파이 비밀번호", ["와이파이 암호", "와이파이 비번"], ["현관 비밀번호", "와이파이 속도"]), ("이용 방법", ["이용법", "사용 방법"], ["이용 요금", "이용 후기"]),
]
KO_ASK = [
    "{x} 알려줘", "{x} 알려주세요", "{x} 어떻게 되나요?", "{x} 좀 알려주시겠어요?", "{x} 뭐야?", "혹시 {x} 아세요?", "{x} 궁금합니다", "{x} 말해줘",
    "{x} 알고 싶어요", "{x} 가르쳐줄래?", "{x} 어떻게 돼?", "{x} 좀 말씀해 주십시오.", "{x} 뭔지 알아?", "{x} 확인해 줘",
]
KO_GOALS = [
    ("회원 정보를 수정하", ["회원 정보를 삭제하", "결제 정보를 수정하"]), ("주문을 취소하", ["주문을 변경하", "예약을 취소하"]),
    ("알림을 설정하", ["알림을 해제하", "비밀번호를 설정하"]), ("영수증을 출력하", ["계약서를 출력하", "영수증을 발급하"]),
    ("예약 날짜를 변경하", ["예약 인원을 변경하", "배송 날짜를 변경하"]), ("파일을 공유하", ["화면을 공유하", "파일을 복구하"]),
    ("계정을 연동하", ["계정을 삭제하", "카드를 연동하"]), ("사진을 백업하", ["사진을 삭제하", "연락처를 백업하"]),
    ("배송지를 추가하", ["배송지를 삭제하", "결제 수단을 추가하"]), ("보험금을 청구하", ["환불금을 청구하", "보험금을 계산하"]),
    ("비자를 신청하", ["비자를 연장하", "여권을 신청하"]), ("세금을 신고하", ["사고를 신고하", "세금을 납부하"]),
]
KO_HOW = [
    "{s}려면 어떻게 해야 하나요?", "{s}는 방법 알려줘", "{s}는 법을 알려주세요", "어떻게 {s}나요?", "{s}고 싶은데 어떻게 하죠?", "{s}고 싶어요",
    "{s}는 방법이 뭐야?", "{s}려고 하는데 방법 좀 알려주시겠어요?", "{s}는 방법 가르쳐 주세요", "{s}려면 어떻게 해?", "{s}는 법 좀 알려줄래?",
]
KO_OTHER_KINDS = ["{s}면 왜 안 돼?", "언제 {s}나요?", "{s}는 데 얼마나 걸려요?", "{s}면 비용이 얼마예요?", "{s}지 마세요", "{s}면 안 되나요?", "누가 {s}나요?"]
# An order: the thing, the verb's stem in its two forms, near misses.
KO_ORDERS = [
    ("거실 불", "켜", ["거실 불 꺼", "안방 불 켜"]), ("에어컨", "꺼", ["에어컨 켜", "난방 꺼"]), ("창문", "열어", ["창문 닫아", "현관문 열어"]),
    ("볼륨", "줄여", ["볼륨 키워", "밝기 줄여"]), ("알람", "맞춰", ["알람 꺼", "온도 맞춰"]), ("택시", "불러", ["대리기사 불러", "택시 취소해"]),
    ("노래", "틀어", ["노래 꺼", "뉴스 틀어"]), ("방", "청소해", ["방 예약해", "욕실 청소해"]), ("메일", "보내", ["메일 지워", "문자 보내"]),
]
KO_ORDER_FRAMES = ["{x}줘", "{x} 주세요", "{x}줄래?", "{x} 주시겠어요?", "{x} 주실래요?", "{x}주세요.", "{x}줘라", "{x} 주십시오.", "{x}줄 수 있어?"]
KO_FORBIDS = ["{x}지 마", "{x}지 마세요", "{x}지 말아줘"]
KO_QUESTIONS = [
    # Wordings of one question; the next line's is another.
    ["회의가 언제 시작하나요?", "회의 언제 시작해?", "회의는 몇 시에 시작합니까?", "회의 시작 시간 알려줘"],
    ["회의가 어디서 열리나요?", "회의 장소가 어디야?", "회의는 어디에서 합니까?", "회의하는 곳 알려줘"],
    ["배송이 왜 늦나요?", "배송이 늦는 이유가 뭐야?", "왜 이렇게 배송이 늦어요?", "배송이 늦어지는 이유를 알려주세요"],
    ["배송은 얼마나 걸리나요?", "배송 얼마나 걸려?", "배송 받는 데 며칠이나 걸려요?", "배송 기간이 얼마나 되나요?"],
    ["기차가 버스보다 편해?", "기차가 버스보다 더 편한가요?", "기차가 버스보다 편합니까?", "버스보다 기차가 편해요?"],
    ["버스가 기차보다 편해?", "버스가 기차보다 더 편한가요?", "기차보다 버스가 편합니까?", "버스가 기차보다 편해요?"],
    ["이 약 먹어도 되나요?", "이 약을 먹어도 돼?", "이 약 먹어도 괜찮아요?", "이 약 복용해도 되나요?"],
    ["유통기한이 얼마나 되나요?", "유통기한이 언제까지야?", "유통기한 알려줘", "유통기한이 며칠이나 돼요?"],
    ["내일 대전 날씨 알려줘", "내일 대전 날씨 어때?", "내일 대전 날씨가 어떻게 돼?", "대전의 내일 날씨를 알려주세요"],
    ["오늘 대전 날씨 알려줘", "오늘 대전 날씨 어때?", "오늘 대전 날씨가 어떻게 되나요?", "대전 오늘 날씨 좀 알려줘"],
    ["내일 대전 기온 알려줘", "내일 대전 기온이 몇 도야?", "내일 대전 온도가 어떻게 돼?", "대전의 내일 기온을 알려주세요"],
]
# Two words for one deed, and other deeds.
KO_DEEDS = [
    ("예약 시간을 변경하", "예약 시간을 바꾸", ["예약 시간을 확인하", "예약 인원을 바꾸"]), ("오래된 사진을 삭제하", "오래된 사진을 지우", ["오래된 사진을 보내", "오래된 메일을 지우"]),
    ("공연 표를 구매하", "공연 표를 사", ["공연 표를 빌리", "기차 표를 사"]), ("후기를 작성하", "후기를 쓰", ["후기를 지우", "이력서를 쓰"]),
    ("관리비를 납부하", "관리비를 내", ["관리비를 계산하", "과태료를 내"]), ("친구에게 쿠폰을 전송하", "친구에게 쿠폰을 보내", ["친구에게 쿠폰을 받", "친구에게 사진을 보내"]),
    ("전시회를 관람하", "전시회를 보", ["전시회를 준비하", "경기를 보"]), ("프로필 사진을 교체하", "프로필 사진을 바꾸", ["프로필 사진을 지우", "배경 사진을 바꾸"]),
]
KO_DEED_FRAMES = ["{s}려면 어떻게 해야 하나요?", "{s}는 방법 알려줘", "{s}는 법 좀 알려 주세요", "어떻게 {s}나요?", "{s}고 싶어요", "{s}는 방법이 뭐예요?", "{s}려면 어떻게 해?"]
# What does not work, with its particle.
KO_TROUBLES = ["다운로드가", "사진 업로드가", "회원가입이", "본인 인증이", "프린터 연결이", "화면 공유가", "문자 수신이", "쿠폰 적용이"]
KO_TROUBLE_FRAMES = ["{x} 안 돼요", "{x} 안 됩니다", "{x} 안 돼", "{x} 되지 않아요", "{x} 되지 않습니다", "{x} 안 되네요", "{x} 계속 안 돼요"]
KO_WHY_FRAMES = ["{x} 왜 안 돼요?", "왜 {x} 안 되나요?", "{x} 안 되는 이유가 뭐예요?", "{x} 안 되는 이유 알려줘", "{x} 왜 되지 않나요?", "왜 {x} 안 돼?"]
KO_TROUBLE_OTHERS = ["{x} 잘 돼요", "{x} 되나요?", "{x} 얼마나 걸려요?", "{x} 언제 되나요?"]
# When and how much: the thing, and others of its sort.
KO_TIMES = [("체크인 시간", ["체크아웃 시간", "조식 시간"]), ("접수 마감 시간", ["접수 시작 시간", "발표 시간"]), ("점심시간", ["쉬는 시간", "저녁 시간"]), ("첫차 시간", ["막배 시간", "환승 시간"])]
KO_TIME_FRAMES = ["{x} 알려줘", "{x}이 언제예요?", "{x}은 몇 시인가요?", "{x} 언제야?", "{x}이 어떻게 되나요?", "{x} 좀 알려주세요", "{x}이 몇 시야?"]
KO_AMOUNTS = [("에펠탑 높이", ["에펠탑 무게", "남산타워 높이"]), ("낙동강 길이", ["낙동강 깊이", "금강 길이"]), ("코끼리 몸무게", ["코끼리 키", "하마 몸무게"]), ("택배 운임", ["퀵 운임", "택배 무게"])]
KO_AMOUNT_FRAMES = ["{x} 알려줘", "{x} 얼마야?", "{x} 얼마나 돼요?", "{x} 어떻게 돼?", "{x} 알려주세요", "{x} 얼마인가요?", "{x} 궁금해요"]


class Writer:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.pairs = {}

    def add(self, a, b, same):
        if a != b:
            self.pairs.setdefault((a, b), same)

    def same(self, wordings, count):
        for _ in range(count):
            self.add(*self.random.sample(wordings, 2), 1)

    def other(self, wordings, others, count):
        for _ in range(count):
            self.add(self.random.choice(wordings), self.random.choice(others), 0)


def slip(text, rng):
    """The same text as somebody in a hurry types it."""
    words = text.split(" ")
    long = [at for at, word in enumerate(words) if len(word) > 5 and word.isascii() and word.isalpha()]
    if long and rng.random() < 0.6:
        at = rng.choice(long)
        cut = rng.randrange(1, len(words[at]) - 2)
        word = words[at]
        words[at] = word[:cut] + word[cut + 1] + word[cut] + word[cut + 2 :] if rng.random() < 0.5 else word[:cut] + word[cut + 1 :]
    text = " ".join(words)
    return text.lower().rstrip("?.") if rng.random() < 0.5 else text


def goals(w):
    plain = [frame for frame in HOW if "{g}" not in frame]
    for verb, gerund, near in GOALS:
        said = [frame.format(v=verb, g=gerund) for frame in HOW]
        w.same(said, 16)
        for _ in range(3):
            text = w.random.choice(said)
            w.add(text, slip(text, w.random), 1)
        for other in near:
            w.other(said, [frame.format(v=other) for frame in plain], 4)
        limited = [frame.format(v=verb + limit) for frame in plain for limit in MODIFIERS]
        w.other(said, limited, 7)
        for _ in range(3):
            frame, limits = w.random.choice(plain), w.random.sample(MODIFIERS, 2)
            w.add(frame.format(v=verb + limits[0]), frame.format(v=verb + limits[1]), 0)
            one, two = w.random.sample(plain, 2)
            w.add(one.format(v=verb + limits[0]), two.format(v=verb + limits[0]), 1)
        kinds = [frame.format(v=verb, g=gerund) for frame in OTHER_KINDS]
        w.other(said, kinds, 7)
        w.add(kinds[0], kinds[1], 0)
        w.add(*w.random.sample(kinds, 2), 0)


def facts(w):
    for whats, things in FACTS:
        for thing in things:
            said = [frame.format(x=f"{what} {thing}") for frame in FACT_FRAMES for what in whats]
            w.same(said, 8)
            w.other(said, [frame.format(x=f"{whats[0]} {other}") for other in things if other != thing for frame in FACT_FRAMES], 5)
            others = [what[0] for what, _ in FACTS if what != whats]
            w.other(said, [FACT_FRAMES[0].format(x=f"{other} {thing}") for other in others], 2)
            w.other(said, [frame.format(x=f"{whats[0]} {thing}{limit}") for frame in FACT_FRAMES for limit in FACT_LIMITS], 3)


def reasons(w):
    for statement, question in REASONS:
        said = [frame.format(s=statement, q=question) for frame in REASON_FRAMES]
        w.same(said, 10)
        others = [frame.format(s=s, q=q) for s, q in REASONS if s != statement for frame in REASON_FRAMES]
        w.other(said, others, 4)
        for frame in ("Is it true that {s}?", "When is it that {s}?", "How do I know that {s}?", "How do I prevent that {s}?"):
            w.add(w.random.choice(said), frame.format(s=statement), 0)


def choices(w):
    for one, many, purposes in BEST:
        for at, purpose in enumerate(purposes):
            said = [frame.format(one=one, many=many, p=purpose) for frame in BEST_FRAMES]
            w.same(said, 6)
            w.other(said, [frame.format(one=one, many=many, p=purposes[at - 1]) for frame in BEST_FRAMES], 3)
            w.other(said, [frame.format(one=one, many=many, p=purpose) for frame in BEST_OTHERS], 2)
            w.other(said, [frame.format(one=one, many=many, p="").replace(" for ?", "?") for frame in BEST_FRAMES if "for {p}" in frame], 2)
            other = w.random.choice([b for b in BEST if b[0] != one])
            w.other(said, [frame.format(one=other[0], many=other[1], p=purpose) for frame in BEST_FRAMES], 2)
    for a, b, c in CHOICES:
        said = [frame.format(a=a, b=b) for frame in CHOICE_FRAMES if not frame.startswith("Is ")]
        w.same(said, 8)
        w.other(said, [frame.format(a=a, b=c) for frame in CHOICE_FRAMES], 5)
        w.other(said, [frame.format(a=a, b=b) for frame in CHOICE_OTHERS], 4)
        w.add(CHOICE_FRAMES[2].format(a=a, b=b), CHOICE_FRAMES[2].format(a=b, b=a), 0)
    for ed, verb, er, things in MAKERS:
        for at, thing in enumerate(things):
            said = [frame.format(ed=ed, er=er, x=thing) for frame in MAKER_FRAMES]
            w.same(said, 6)
            w.other(said, [frame.format(ed=ed, er=er, x=things[at - 1]) for frame in MAKER_FRAMES], 3)
            w.other(said, [frame.format(v=verb, x=thing) for frame in MAKER_OTHERS], 3)
    for topic in TOPICS:
        said = [frame.format(t=topic) for frame in OPINIONS]
        w.same(said, 8)
        w.other(said, [frame.format(t=other) for other in TOPICS if other != topic for frame in OPINIONS], 4)
        w.other(said, [frame.format(t=topic) for frame in OPINION_OTHERS], 5)


def korean(w):
    for stem, near in KO_GOALS:
        said = [frame.format(s=stem) for frame in KO_HOW]
        w.same(said, 18)
        for other in near:
            w.other(said, [frame.format(s=other) for frame in KO_HOW], 7)
        for frame in KO_OTHER_KINDS:
            w.add(w.random.choice(said), frame.format(s=stem), 0)
    for fact, names, near in KO_FACTS:
        for place in KO_PLACES:
            said = [frame.format(x=f"{place} {name}") for frame in KO_ASK for name in [fact, *names]]
            w.same(said, 9)
            w.other(said, [frame.format(x=f"{place} {other}") for frame in KO_ASK for other in near], 4)
            w.other(said, [frame.format(x=f"{other} {fact}") for frame in KO_ASK for other in KO_PLACES if other != place], 5)
    for thing, verb, near in KO_ORDERS:
        said = [frame.format(x=f"{thing} {verb}") for frame in KO_ORDER_FRAMES] + [f"{thing} 좀 {verb} 주세요", f"{thing}을 {verb}줘".replace("노래을", "노래를")]
        w.same(said, 16)
        w.other(said, [frame.format(x=other) for frame in KO_ORDER_FRAMES for other in near], 10)
        w.other(said, [frame.format(x=f"{thing} {verb}") for frame in KO_FORBIDS], 3)
    for at, wordings in enumerate(KO_QUESTIONS):
        for i, a in enumerate(wordings):
            for b in wordings[i + 1 :]:
                w.add(a, b, 1)
        w.other(wordings, KO_QUESTIONS[at - 1], 5)
        w.other(wordings, KO_QUESTIONS[at - 2], 3)


def requests(w):
    for x, near in WANTED:
        said = [frame.format(x=x) for frame in WANTED_FRAMES]
        w.same(said, 16)
        w.other(said, [frame.format(x=other) for frame in WANTED_FRAMES for other in near], 12)
        w.other(said, [frame.format(x=x) for frame in WANTED_OTHERS], 5)
    for one, two, other, things, times in STATES:
        for thing in things:
            for at, time in enumerate(times):
                said = [frame.format(x=thing, s=state, t=time) for frame in STATE_FRAMES for state in (one, two)]
                w.same(said, 4)
                w.other(said, [frame.format(x=thing, s=other, t=time) for frame in STATE_FRAMES], 2)
                w.other(said, [frame.format(x=thing, s=one, t=times[at - 1]) for frame in STATE_FRAMES], 2)
    for thing, other in TROUBLES:
        said = [frame.format(x=thing) for frame in TROUBLE_FRAMES]
        w.same(said, 10)
        w.other(said, [frame.format(x=other) for frame in TROUBLE_FRAMES], 6)
        w.other(said, [frame.format(x=thing) for frame in TROUBLE_OTHERS], 4)
    for thing, other in AMOUNTS:
        said = [frame.format(x=thing) for frame in AMOUNT_FRAMES]
        w.same(said, 8)
        w.other(said, [frame.format(x=other) for frame in AMOUNT_FRAMES], 5)
        w.other(said, [frame.format(x=thing) for frame in AMOUNT_OTHERS], 3)


def apart(text, rng):
    """The same Korean text with one space left out."""
    spaces = [at for at, letter in enumerate(text) if letter == " "]
    at = rng.choice(spaces) if spaces else len(text)
    return text[:at] + text[at + 1 :]


def korean_requests(w):
    for one, two, near in KO_DEEDS:
        said = [frame.format(s=stem) for frame in KO_DEED_FRAMES for stem in (one, two)]
        w.same(said, 16)
        w.other(said, [frame.format(s=other) for frame in KO_DEED_FRAMES for other in near], 12)
    for at, thing in enumerate(KO_TROUBLES):
        for frames in (KO_TROUBLE_FRAMES, KO_WHY_FRAMES):
            said = [frame.format(x=thing) for frame in frames]
            w.same(said, 8)
            w.other(said, [frame.format(x=KO_TROUBLES[at - 1]) for frame in frames], 5)
            w.other(said, [frame.format(x=thing) for frame in KO_TROUBLE_OTHERS], 3)
    for table, frames in ((KO_TIMES, KO_TIME_FRAMES), (KO_AMOUNTS, KO_AMOUNT_FRAMES)):
        for thing, near in table:
            said = [frame.format(x=thing) for frame in frames]
            w.same(said, 10)
            w.other(said, [frame.format(x=other) for frame in frames for other in near], 8)
            for _ in range(3):
                a, b = w.random.sample(said, 2)
                w.add(a, apart(b, w.random), 1)


def pairs(seed=21):
    w = Writer(seed)
    for part in (goals, facts, reasons, choices, korean, requests, korean_requests):
        part(w)
    return [{"a": a, "b": b, "same": same} for (a, b), same in w.pairs.items()]
