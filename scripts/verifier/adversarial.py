import json,sys,os
en=[];ko=[]
def E(rule,a,b,same): en.append((rule,a,b,same))
def K(rule,a,b,same): ko.append((rule,a,b,same))
# ---- different, English
D={
'numbers':"""Where is order 48213?|Where is order 48231?
Refund invoice A-1009 please|Refund invoice A-1090 please
Can I pay in 3 instalments?|Can I pay in 6 instalments?
Is there a discount for 20 users?|Is there a discount for 200 users?
Book a table for two|Book a table for four
Set an alarm for 7 am|Set an alarm for 7 pm
What changed in version 2.1.0?|What changed in version 2.2.0?
Show me the bill from March|Show me the bill from May
What is the fee for a $50 transfer?|What is the fee for a $500 transfer?
How do I cook rice for 10 people?|How do I cook rice for 100 people?
Is the store open at 9:30?|Is the store open at 8:30?
Does the warranty last 12 months?|Does the warranty last 24 months?
What was revenue in 2022?|What was revenue in 2023?
Send the invoice to ann@shop.io|Send the invoice to dan@shop.io
Is https://shop.io/a down?|Is https://shop.io/b down?
What does error E1042 mean?|What does error E1043 mean?
Deliver it on 2024-05-01|Deliver it on 2024-05-11
Can I carry 15 kg of luggage?|Can I carry 25 kg of luggage?
Convert 30 dollars to euros|Convert 80 dollars to euros
Track parcel GX88120|Track parcel GX88121
How long is a flight of 800 km?|How long is a flight of 8000 km?
What is a 5% discount on this?|What is a 15% discount on this?
Give me three dinner ideas|Give me five dinner ideas
Is room 204 free tonight?|Is room 402 free tonight?""",
'negation':"""Can I cancel after the trial?|Can't I cancel after the trial, what blocks it?
Should I restart the router?|Should I never restart the router?
Which plans include support?|Which plans do not include support?
Send me the newsletter|Do not send me the newsletter
Does the price include tax?|Which price comes without tax?
Why is my camera working?|Why is my camera not working?
How do I log in?|I can't log in
Who has paid the invoice?|Who has not paid the invoice?
Share my data with partners|Don't share my data with partners
Is it safe to eat raw eggs?|Is it not safe to eat raw eggs?
Which seats have a window?|Which seats have no window?
Can I travel with a visa?|Can I travel without a visa?
Keep the old files|Do not keep the old files
What foods contain gluten?|What foods don't contain gluten?
How do I connect to the VPN?|I am unable to connect to the VPN
Why did you charge me?|Why did you not charge me?
Renew my plan automatically|Never renew my plan automatically
Which devices are supported?|Which devices are no longer supported?
Save my card details|Please don't save my card details
Do I need a password to join?|Can I join without a password?""",
'opposites':"""How do I turn on dark mode?|How do I turn off dark mode?
Enable two-factor authentication|Disable two-factor authentication
Increase the font size|Decrease the font size
What should I eat before a run?|What should I eat after a run?
Where can I buy gold?|Where can I sell gold?
How do I import contacts?|How do I export contacts?
What is the cheapest plan?|What is the most expensive plan?
How do I open an account?|How do I close an account?
Lock the front door|Unlock the front door
Upload my photos|Download my photos
How do I subscribe to updates?|How do I unsubscribe from updates?
What are the advantages of leasing?|What are the disadvantages of leasing?
What is the weather today?|What is the weather tomorrow?
Is the office open on Monday?|Is the office open on Friday?
How do I deposit money?|How do I withdraw money?
Mute the microphone|Unmute the microphone
What is the minimum order?|What is the maximum order?
How do I install the driver?|How do I uninstall the driver?
Accept the invitation|Decline the invitation
How do I upgrade my plan?|How do I downgrade my plan?
Show me incoming calls|Show me outgoing calls
Where is the nearest bank in the north?|Where is the nearest bank in the south?
Block this contact|Unblock this contact
What is a debit card?|What is a credit card?
How do I lend money?|How do I borrow money?""",
'order':"""Trains from Seoul to Busan|Trains from Busan to Seoul
Flights from Paris to Rome|Flights from Rome to Paris
Is Java faster than Python?|Is Python faster than Java?
Convert dollars to euros|Convert euros to dollars
Did Google sue Oracle?|Did Oracle sue Google?
Why do dogs chase cats?|Why do cats chase dogs?
Is the moon bigger than Pluto?|Is Pluto bigger than the moon?
Move files from laptop to phone|Move files from phone to laptop
How do I translate German to French?|How do I translate French to German?
Can a tenant sue a landlord?|Can a landlord sue a tenant?
Is tea healthier than coffee?|Is coffee healthier than tea?
Transfer money from savings to checking|Transfer money from checking to savings
Did Tesla invest in Bitcoin or Bitcoin in Tesla?|Did Bitcoin invest in Tesla or Tesla in Bitcoin?
Does Anna owe Peter money?|Does Peter owe Anna money?
Is Norway richer than Sweden?|Is Sweden richer than Norway?
Convert Celsius to Fahrenheit|Convert Fahrenheit to Celsius""",
'names':"""What is the capital of Peru?|What is the capital of Chile?
Weather in Boston|Weather in Denver
Who is the CEO of Siemens?|Who is the CEO of Bosch?
Does it work with Slack?|Does it work with Zoom?
Change to the Silver plan|Change to the Diamond plan
Bills from Maria Lopez|Bills from Peter Novak
Hotels near Times Square|Hotels near Central Park
Is there a Lisbon office?|Is there a Madrid office?
How do I pronounce Nguyen?|How do I pronounce Siobhan?
How do I install Ubuntu?|How do I install Fedora?
What is Kafka used for?|What is Redis used for?
How tall is Mount Kenya?|How tall is Mount Fuji?
Who wrote Hamlet?|Who wrote Macbeth?
What language do they speak in Belgium?|What language do they speak in Austria?
Restaurants in Kyoto|Restaurants in Osaka
Does Visa work in Cuba?|Does Visa work in Iran?""",
'question':"""Who founded the company?|When was the company founded?
Why is my order late?|When will my order arrive?
How much does delivery cost?|How long does delivery take?
Where is the meeting?|When is the meeting?
Why should I update the app?|How do I update the app?
Who approves refunds?|When are refunds approved?
Where can I renew my passport?|How much does it cost to renew my passport?
When was the bridge built?|Who built the bridge?
How many people work here?|Who works here?
Why do cats purr?|When do cats purr?
How long is the warranty?|How much is the warranty?
Where do I enter the coupon?|Why is there no coupon field, who removed it?""",
'words':"""How do I delete my account?|How do I rename my account?
What is your refund policy?|What is your privacy policy?
How do I change my shipping address?|How do I change my email address?
How do I grow tomatoes?|How do I freeze tomatoes?
How do I invest in stocks as a student?|How do I invest in stocks in retirement?
What is the best laptop for gaming?|What is the best laptop for drawing?
How do I contact sales?|How do I contact the press office?
Recommend a horror movie|Recommend a romantic movie
How do I clean a carpet?|How do I measure a carpet?
What are the side effects of aspirin?|What are the side effects of caffeine?
How do I paint a wall?|How do I insulate a wall?
Can I bring my dog on the plane?|Can I bring my bike on the plane?
How do I learn to swim?|How do I learn to juggle?
What is the dress code at the office?|What is the parking rule at the office?
How do I write a will?|How do I write a poem?""",
'quoted':"""What does "break a leg" mean?|What does "spill the beans" mean?
How do I use `git rebase`?|How do I use `git stash`?
Translate 'good morning'|Translate 'good evening'
Rename the folder "Taxes"|Rename the folder "Photos"
What is the opposite of "brave"?|What is the opposite of "quiet"?
Explain the function `map()`|Explain the function `filter()`""",
}
S="""How do I reset my password?|How can I reset my password?
How do I reset my password?|What is the way to reset my password?
I want to cancel my order|Please help me cancel my order
Can you help me cancel an order?|How do I cancel an order?
Where is my order 48213?|Could you tell me where order 48213 is?
What's the capital of Peru?|What is the capital of Peru?
Capital of Peru?|What is the capital of Peru?
How do I turn on dark mode?|How do I enable dark mode?
Turn off notifications|Switch off notifications please
How do I activate two-factor authentication?|How do I enable two-factor authentication?
Where can I see my invoices?|How can I see my invoices?
How do I delete my account?|I'd like to delete my account
delete my account please|I want to remove my account
Set an alarm for 7 am|Please set an alarm for 7 AM
Set an alarm for 7 pm|Set an alarm for 7:00 pm
Book a table for two|Could you book a table for 2?
What are the opening hours?|Could you tell me the opening hours?
When do you open?|What time do you open?
Why is my order late?|Can you explain why my order is late?
Why does the app crash?|What is the reason the app crashes?
I can't log in|I am unable to log in
I cannot connect to the VPN|I can't connect to the VPN
Who founded Siemens?|Who was Siemens founded by?
How much does delivery cost?|What does delivery cost?
How much is delivery?|What is the price of delivery?
Which payment methods do you accept?|What payment methods do you accept?
What is your refund policy?|Please tell me your refund policy
How do I get a refund?|I want to get a refund, how do I do that?
How do I change my shipping address?|I need to change my shipping address
how do i chnage my shipping address|How do I change my shipping address?
Track my parcel GX88120|Where can I track parcel GX88120?
Trains from Seoul to Busan|Show me the trains from Seoul to Busan
Flights from Paris to Rome|I am looking for flights from Paris to Rome
Is Java faster than Python?|Is Java really faster than Python?
How can I learn Spanish quickly?|How do I learn Spanish quickly?
What is the best way to learn Spanish?|What's the best way to learn Spanish?
In Python, how do I sort a list?|How do I sort a list in Python?
Does the price include tax?|Is tax included in the price?
Can I travel without a visa?|May I travel without a visa?
Do not send me the newsletter|Please don't send me the newsletter
Don't share my data|Please do not share my data
Which plans do not include support?|Which plans don't include support?
What does "break a leg" mean?|What is the meaning of "break a leg"?
How do I use `git rebase`?|How can I use `git rebase`?
What does error E1042 mean?|What is the meaning of error E1042?
What changed in version 2.1.0?|Tell me what changed in version 2.1.0
What is the weather today?|How is the weather today?
Weather in Boston|What is the weather in Boston?
Recommend a horror movie|Can you recommend a horror movie?
I would like to talk to an agent|I want to speak to an agent
I need to speak with a human|I want to talk with a human
How do I sign up?|How do I register?
How do I unsubscribe?|I want to unsubscribe
Convert 30 dollars to euros|Convert $30 to euros
Is the store open on Monday?|Are you open on Monday?
What foods contain gluten?|Which foods contain gluten?
Should I restart the router?|Do I need to restart the router?
Why do cats purr?|What is the reason cats purr?
Who is the CEO of Bosch?|Tell me who the CEO of Bosch is
How tall is Mount Fuji?|What is the height of Mount Fuji?
Where is the nearest bank?|Where can I find the nearest bank?
How do I export contacts?|How can I export my contacts?
What is the minimum order?|What's the minimum order?
How do I install the driver?|What's the way to install the driver?
How do I upgrade my plan?|I want to upgrade my plan
Show me my bill from March|I want to see my bill from March
How many people work here?|Can you tell me how many people work here?
How do I write a will?|What is the best way to write a will?
Can I bring my dog on the plane?|Am I allowed to bring my dog on the plane?
Is room 204 free tonight?|Is room 204 available tonight?
How long is the warranty?|How long does the warranty last?
What is Redis used for?|What do people use Redis for?
Explain the function `map()`|Can you explain the function `map()`?
Is it safe to eat raw eggs?|Is eating raw eggs safe?
Give me 3 dinner ideas|Give me three dinner ideas
What was revenue in 2023?|How much was the revenue in 2023?
I forgot my password|I can't remember my password
help me recover my password|I need help recovering my password
could you help me track my refund|I need help tracking my refund
check the status of my order|I want to check my order status
where can i leave a review|How do I leave a review?
Difference between tea and coffee?|What is the difference between coffee and tea?
Who wrote Hamlet?|Who is the author of Hamlet?
How do I clean a carpet?|What are good ways to clean a carpet?
What is the cheapest plan?|Which plan is the cheapest?
Do you ship to Canada?|Is shipping to Canada possible?
How do I mute the microphone?|How can I mute my microphone?
Hotels near Times Square|Find hotels near Times Square
How do I add a second user?|I want to add a second user
Please close my account|Could you close my account?
How to cook rice for 10 people?|How do I cook rice for ten people?
Can I pay in 3 instalments?|Is it possible to pay in three instalments?
Deliver it on 2024-05-01|Deliver it on May 1, 2024
I have a problem with my payment|I have an issue with my payment
My card was declined|Why was my card declined?
How do I purchase a ticket?|How do I buy a ticket?
How do I lower the brightness?|How do I reduce the brightness?
What are the benefits of yoga?|What are the advantages of yoga?
Where do I enter the coupon?|Where can I enter the coupon?
How do I translate German to French?|How can I translate German into French?
What is a debit card?|Can you explain what a debit card is?
How do I open an account?|I want to open an account
What documents do I need for a visa?|Which documents are needed for a visa?
Is there a student discount?|Do you have a student discount?"""
for r,t in D.items():
    for l in t.split('\n'): a,b=l.split('|'); E(r,a,b,False)
for l in S.split('\n'): a,b=l.split('|'); E('same',a,b,True)
KD={
'numbers':"""주문번호 48213 어디쯤 왔어?|주문번호 48231 어디쯤 왔어?
세 명 예약해줘|다섯 명 예약해줘
오전 7시에 알람 맞춰줘|오후 7시에 알람 맞춰줘
3월 요금 청구서 보여줘|5월 요금 청구서 보여줘
10만원 송금 수수료 알려줘|50만원 송금 수수료 알려줘
302호 비어 있어?|203호 비어 있어?
버전 2.1 변경사항 알려줘|버전 2.3 변경사항 알려줘
두 개 주문할게요|네 개 주문할게요
15kg 수하물 가능해?|25kg 수하물 가능해?
2022년 매출 알려줘|2023년 매출 알려줘
9시 30분 버스 있어?|8시 30분 버스 있어?
3개월 할부 되나요?|6개월 할부 되나요?
송장번호 A1009 조회해줘|송장번호 A1010 조회해줘
5% 할인 쿠폰 있나요?|15% 할인 쿠폰 있나요?
삼십분 뒤에 알려줘|십분 뒤에 알려줘
열두 시에 만나자고 보내줘|열한 시에 만나자고 보내줘""",
'negation':"""창문 열어줘|창문 열지 마
회의에 가도 돼?|회의에 안 가도 돼?
광고 문자 보내줘|광고 문자 보내지 마세요
이 약 먹어도 되나요?|이 약 먹으면 안 되나요?
비밀번호 저장해줘|비밀번호 저장하지 말아줘
결제가 되는 이유가 뭐야?|결제가 안 되는 이유가 뭐야?
포함되는 상품 알려줘|포함되지 않는 상품 알려줘
예약한 사람 누구야?|예약 안 한 사람 누구야?
글루텐 있는 음식 알려줘|글루텐 없는 음식 알려줘
파일을 지워도 되나요?|파일을 지우지 않아도 되나요?
내 정보를 공유해|내 정보를 공유하지 마
주차 가능한 곳 알려줘|주차 금지인 곳 알려줘
자동으로 갱신해줘|자동으로 갱신하지 말아줘
여기서 사진 찍어도 돼?|여기서 사진 못 찍어?""",
'opposites':"""거실 불 켜줘|거실 불 꺼줘
에어컨 온도 올려줘|에어컨 온도 내려줘
내일 날씨 알려줘|오늘 날씨 알려줘
회원가입 방법 알려줘|회원탈퇴 방법 알려줘
가장 비싼 요금제 알려줘|가장 저렴한 요금제 알려줘
운동 전에 뭐 먹어야 해?|운동 후에 뭐 먹어야 해?
창문 열어줘|창문 닫아줘
최소 주문 금액 얼마야?|최대 주문 금액 얼마야?
이번주 일정 알려줘|다음주 일정 알려줘
월요일에 영업해?|금요일에 영업해?
볼륨 높여줘|볼륨 낮춰줘
앱 설치 방법 알려줘|앱 삭제 방법 알려줘
출근 시간 알려줘|퇴근 시간 알려줘
입금 내역 보여줘|출금 내역 보여줘
알림 허용해줘|알림 차단해줘
재택근무의 장점이 뭐야?|재택근무의 단점이 뭐야?
실내 온도 몇 도야?|실외 온도 몇 도야?
서울역 출발 시간 알려줘|서울역 도착 시간 알려줘
아버지 생신 언제야?|어머니 생신 언제야?
받은 메일 보여줘|보낸 메일 보여줘""",
'order':"""서울에서 부산으로 가는 기차 알려줘|부산에서 서울로 가는 기차 알려줘
영어를 한국어로 번역해줘|한국어를 영어로 번역해줘
달러를 원으로 바꿔줘|원을 달러로 바꿔줘
자바가 파이썬보다 빨라?|파이썬이 자바보다 빨라?
노트북에서 휴대폰으로 파일 옮겨줘|휴대폰에서 노트북으로 파일 옮겨줘
철수가 영희를 좋아해?|영희가 철수를 좋아해?
고양이가 개보다 똑똑해?|개가 고양이보다 똑똑해?
집에서 회사까지 얼마나 걸려?|회사에서 집까지 얼마나 걸려?
우산 말고 우비 챙겨|우비 말고 우산 챙겨
커피가 차보다 건강에 좋아?|차가 커피보다 건강에 좋아?""",
'names':"""제주 날씨 알려줘|강릉 날씨 알려줘
삼성 주가 알려줘|카카오 주가 알려줘
페루의 수도는 어디야?|칠레의 수도는 어디야?
지연이 생일 언제야?|민수 생일 언제야?
국민은행 고객센터 번호 알려줘|우리은행 고객센터 번호 알려줘
강남점 영업시간 알려줘|홍대점 영업시간 알려줘
한라산 높이가 얼마야?|지리산 높이가 얼마야?
네이버 메일 용량 알려줘|구글 메일 용량 알려줘
베토벤은 언제 태어났어?|모차르트는 언제 태어났어?
명동 맛집 추천해줘|이태원 맛집 추천해줘""",
'question':"""회의 언제 시작해?|회의 어디서 시작해?
누가 회사를 설립했어?|언제 회사를 설립했어?
배송비가 얼마예요?|배송이 왜 늦어요?
환불은 어떻게 해?|환불은 왜 안 해줘?
계약은 누가 해?|계약은 언제 해?
다리는 누가 지었어?|다리는 왜 지었어?
모임 장소 어디야?|모임 몇 시야?
참석자가 몇 명이야?|참석자가 누구야?
앱을 왜 업데이트해야 해?|앱을 어떻게 업데이트해?""",
'words':"""환불 규정 알려줘|개인정보 규정 알려줘
배송지 변경하고 싶어요|결제수단 변경하고 싶어요
와이파이 비밀번호 알려줘|현관 비밀번호 알려줘
김치찌개 만드는 법 알려줘|된장찌개 만드는 법 알려줘
거실 청소해줘|화장실 청소해줘
엑셀 파일 여는 법|압축 파일 여는 법
강아지 데려가도 되나요?|자전거 가져가도 되나요?
게임용 노트북 추천해줘|디자인용 노트북 추천해줘
아스피린 부작용 알려줘|카페인 부작용 알려줘
수영 배우는 방법|기타 배우는 방법
'사과'의 반대말이 뭐야?|'용기'의 반대말이 뭐야?""",
}
KS="""거실 불 켜줘|거실 불 좀 켜 주세요
거실 불 꺼줘|거실 불 꺼주시겠어요?
오늘 날씨 알려줘|오늘 날씨 어때?
오늘 날씨 알려줘|오늘 날씨 좀 알려주세요
내일 서울 날씨 알려줘|내일 서울 날씨가 어떻게 되나요?
비밀번호 변경하고 싶어요|비밀번호를 변경하려면 어떻게 해야 하나요?
비밀번호 변경 방법 알려줘|비밀번호 바꾸는 방법 알려주세요
회원가입 방법 알려줘|회원가입 어떻게 하나요?
회원탈퇴 하고 싶어요|회원탈퇴 방법 알려주세요
환불 규정이 어떻게 되나요?|환불 규정 알려주세요
환불 받고 싶어요|환불 받으려면 어떻게 해야 하나요?
주문 취소해줘|주문을 취소해 주세요
주문 취소하고 싶어요|주문 취소하려면 어떻게 하나요?
주문번호 48213 어디쯤 왔어?|주문번호 48213 지금 어디쯤 왔나요?
배송비가 얼마예요?|배송비 얼마인가요?
배송은 얼마나 걸려요?|배송 얼마나 걸리나요?
회의 언제 시작해?|회의가 언제 시작하나요?
회의 몇 시야?|회의가 몇 시인가요?
두 명 예약해줘|2명 예약해 주세요
오후 3시에 알람 맞춰줘|오후 3시에 알람 좀 맞춰주세요
창문 열어줘|창문 좀 열어 주세요
창문 열지 마|창문 열지 마세요
광고 문자 보내지 마|광고 문자 보내지 말아 주세요
이 약 먹어도 돼?|이 약 먹어도 되나요?
서울에서 부산으로 가는 기차 알려줘|서울에서 부산 가는 기차 알려주세요
영어를 한국어로 번역해줘|한국어로 영어를 번역해줘
자바가 파이썬보다 빨라?|자바가 파이썬보다 빠른가요?
페루의 수도는 어디야?|페루 수도가 어디인가요?
페루 수도 알려줘|페루의 수도가 어디야?
한라산 높이가 얼마야?|한라산 높이 알려줘
베토벤은 언제 태어났어?|베토벤이 언제 태어났나요?
명동 맛집 추천해줘|명동 맛집 좀 추천해 주세요
김치찌개 만드는 법 알려줘|김치찌개 어떻게 만들어?
김치찌개 끓이는 법|김치찌개 끓이는 방법 알려줘
에어컨 온도 올려줘|에어컨 온도 좀 높여줘
볼륨 낮춰줘|볼륨 좀 줄여줘
와이파이 비밀번호 알려줘|와이파이 비번 뭐야?
아버지 생신 언제야?|아버지 생신이 언제인가요?
엄마 생일 언제야?|엄마 생일이 언제지?
강남점 영업시간 알려줘|강남점 영업 시간이 어떻게 되나요?
강남점 몇 시에 열어?|강남점 몇 시에 여나요?
이번주 일정 알려줘|이번 주 일정이 어떻게 돼?
다음주 회의 일정 알려줘|다음 주 회의 일정 좀 알려줘
받은 메일 보여줘|받은 메일 좀 보여주세요
상담원과 통화하고 싶어요|상담원이랑 통화하고 싶습니다
상담원 연결해줘|상담원 연결 부탁드립니다
영수증 출력하고 싶어요|영수증을 출력하려면 어떻게 하죠?
배송지 변경하고 싶어요|배송지를 바꾸고 싶어요
앱 설치 방법 알려줘|앱 어떻게 설치해요?
앱을 왜 업데이트해야 해?|앱을 업데이트해야 하는 이유가 뭐야?
누가 회사를 설립했어?|회사를 누가 설립했나요?
다리는 누가 지었어?|그 다리는 누가 지었나요?
최저기온 알려줘|최저 기온이 몇 도야?
미세먼지 농도 알려줘|미세먼지 농도가 어떻게 돼?
에어컨 꺼줘|에어컨 좀 꺼 주실래요?
우산 챙겨|우산 챙기세요
3개월 할부 되나요?|3개월 할부 가능해요?
사진 백업하는 방법 알려줘|사진을 어떻게 백업해?
글루텐 없는 음식 알려줘|글루텐이 없는 음식은 뭐가 있어?
재택근무의 장점이 뭐야?|재택근무 장점 알려줘
카카오 주가 알려줘|카카오 주가가 얼마야?
국민은행 고객센터 번호 알려줘|국민은행 고객센터 전화번호가 뭐야?
비행기에 강아지 데려가도 되나요?|강아지를 비행기에 데려가도 돼요?
파일 공유하고 싶어요|파일을 공유하는 방법 알려주세요
알림 설정하는 법|알림을 어떻게 설정하나요?
예약 날짜 변경해줘|예약 날짜를 변경해 주세요
여권 갱신하려면 뭐가 필요해?|여권 갱신에 필요한 게 뭐야?
집에서 회사까지 얼마나 걸려?|집에서 회사까지 시간이 얼마나 걸려요?
오늘 점심 메뉴 알려줘|오늘 점심 메뉴가 뭐야?
지하철 막차 시간 알려줘|지하철 막차가 언제야?
택시 불러줘|택시 좀 불러주세요
노래 틀어줘|노래 좀 틀어 주세요
거실 청소해줘|거실 좀 청소해 줘
내 정보를 공유하지 마|내 정보 공유하지 마세요
계좌 잔액 알려줘|계좌 잔액이 얼마야?
커피 한 잔 주문해줘|커피 한 잔 주문해 주세요
쿠폰은 어디에 입력해요?|쿠폰 어디에 입력하나요?
결제가 안 돼요|결제가 안 됩니다
로그인이 안 되는 이유가 뭐야?|로그인이 왜 안 돼?
와이파이가 안 돼요|와이파이가 되지 않아요
주말에도 영업하나요?|주말에 영업해요?
학생 할인 있어요?|학생 할인이 있나요?
일요일에 문 열어요?|일요일에 문 여나요?
주차 가능한가요?|주차할 수 있나요?
면접 때 뭐 입어야 해?|면접 볼 때 무엇을 입어야 하나요?
보고서 마감일이 언제야?|보고서 마감이 언제인가요?
제습기 사용법 알려줘|제습기 어떻게 사용해?
세탁기 돌려줘|세탁기 좀 돌려 주세요
비 오는 날 뭐 하면 좋을까?|비 오는 날에 뭘 하면 좋을까요?"""
for r,t in KD.items():
    for l in t.split('\n'): a,b=l.split('|'); K(r,a,b,False)
for l in KS.split('\n'): a,b=l.split('|'); K('same',a,b,True)
import numpy as np, onnxruntime as ort
from onnxruntime_extensions import get_library_path
so=ort.SessionOptions(); so.intra_op_num_threads=1; so.register_custom_ops_library(get_library_path())
s=ort.InferenceSession(os.environ['MULTILINGUAL_ONNX'],so)
def e(x):
    v=s.run(['outputs'],{'inputs':np.array([x],dtype=object)})[0][0]; return v/np.linalg.norm(v)
O=os.environ['REPO']+'/tests/verify_pairs'; os.makedirs(O,exist_ok=True)
for n,L in (('en',en),('ko',ko)):
    with open(f'{O}/{n}.jsonl','w') as f:
        for r,a,b,y in L: f.write(json.dumps({'a':a,'b':b,'same':y,'rule':r,'cosine':round(float(e(a)@e(b)),4)},ensure_ascii=False)+'\n')
    with open(f'data/adv_{n}.jsonl','w') as f:
        for r,a,b,y in L: f.write(json.dumps({'a':a,'b':b,'label':int(y),'rule':r,'cos':round(float(e(a)@e(b)),4)},ensure_ascii=False)+'\n')
    print(n,len(L),sum(y for *_,y in L))
