import os
# own training pairs: open-domain and support questions in English and Korean
import random,json
R=random.Random(20)
# (verb phrase, gerund, modifiers/near-miss replacements)
ACT=[("learn to play the guitar","learning to play the guitar",["learn to play the piano","learn to tune the guitar"]),
("lower my electricity bill","lowering my electricity bill",["lower my water bill","pay my electricity bill"]),
("train a puppy","training a puppy",["train a parrot","feed a puppy"]),
("grow tomatoes at home","growing tomatoes at home",["grow mushrooms at home","store tomatoes at home"]),
("write a cover letter","writing a cover letter",["write a resignation letter","format a cover letter"]),
("renew my passport","renewing my passport",["renew my visa","replace my passport"]),
("export my contacts","exporting my contacts",["export my calendar","merge my contacts"]),
("reset the router","resetting the router",["reset the printer","hide the router"]),
("share a folder with my team","sharing a folder with my team",["share a calendar with my team","share a folder with a guest"]),
("merge two accounts","merging two accounts",["merge two invoices","split two accounts"]),
("update my billing address","updating my billing address",["update my shipping address","download my billing address"]),
("remove a coffee stain","removing a coffee stain",["remove a wine stain","remove a coffee table"]),
("sleep better at night","sleeping better at night",["breathe better at night","sleep better on a plane"]),
("become a pilot","becoming a pilot",["become a nurse","become a pilot in Canada"]),
("invest in gold","investing in gold",["invest in silver","trade in gold futures"]),
("overcome stage fright","overcoming stage fright",["overcome jet lag","cause stage fright"]),
("improve my handwriting","improving my handwriting",["improve my vocabulary","analyze my handwriting"]),
("change the language of the app","changing the language of the app",["change the theme of the app","change the language of the report"]),
("apply for a student loan","applying for a student loan",["apply for a student visa","repay a student loan"]),
("memorize vocabulary","memorizing vocabulary",["memorize phone numbers","test vocabulary"]),
("repair a leaking tap","repairing a leaking tap",["repair a leaking roof","install a leaking tap"]),
("track my parcel","tracking my parcel",["track my refund","send my parcel"]),
("make a website for my bakery","making a website for my bakery",["make a logo for my bakery","make a website for my school"]),
("stop procrastinating","stopping procrastinating",["stop snoring","start procrastinating"]),
("raise chickens","raising chickens",["raise goats","sell chickens"]),
("convert a PDF to Word","converting a PDF to Word",["convert a PDF to Excel","print a PDF in Word"]),
("add a second user","adding a second user",["add a second printer","block a second user"]),
("learn Spanish","learning Spanish",["learn Italian","teach Spanish"]),
("quit smoking","quitting smoking",["quit drinking","allow smoking"]),
("cook brown rice","cooking brown rice",["cook brown lentils","store brown rice"])]
HOW=["How do I {v}?","How can I {v}?","What is the best way to {v}?","What's the way to {v}?","what should i do to {v}","I want to {v}, how?","Could you tell me how to {v}?","How should one {v}?","how to {v}","What are good ways to {v}?","What are some tips for {g}?","Please explain how to {v}","I need help {g}","Is there a way to {v}?","How does one {v}"]
MOD=[" in Berlin"," on Android"," for children"," without internet"," in winter"," for free"," as a beginner"," at work"," on a Mac"," under Windows"," with a credit card", " for a wedding"]
OTHER=["Why should I {v}?","When should I {v}?","How long does it take to {v}?","How much does it cost to {v}?","Should I {v}?","Where can I {v}?","Who can {v}?","What are the disadvantages of {g}?","What do people think of {g}?","Is {g} legal?","Why is {g} difficult?"]
NOUN=[("the capital of","country",["Peru","Norway","Kenya","Hungary","Chile","Nepal"]),("the population of","country",["Peru","Norway","Kenya","Hungary","Chile","Nepal"]),
("the history of","thing",["jazz","chess","paper money","the bicycle","origami"]),("the meaning of","word",["entropy","karma","inflation","irony","liberty"]),
("the side effects of","drug",["ibuprofen","caffeine","melatonin","aspirin"]),("the advantages of","thing",["solar power","remote work","cloud storage","nuclear energy","electric cars"]),
("the symptoms of","ill",["flu","malaria","anemia","asthma"]),("the price of","thing",["a Tesla","a violin","saffron","a kayak"]),("the opening hours of","place",["the museum","the library","your Boston store","the pharmacy"]),
("the main causes of","thing",["inflation","deforestation","insomnia","acne"]),("the rules of","game",["chess","cricket","baseball","go"])]
NF=["What is {h} {n}?","What's {h} {n}?","Tell me {h} {n}.","Can you tell me {h} {n}?","I'd like to know {h} {n}","what are {h} {n}","Do you know {h} {n}?","{h} {n}?","could you explain {h} {n} please"]
SYN={"capital":"capital city","population":"number of inhabitants","history":"origin","advantages":"benefits","price":"cost","main causes":"main reasons","meaning":"definition","opening hours":"business hours"}
WHY=[("the sky is blue","the sky blue","is"),("cats purr",None,None),("bread rises",None,None),("my card was declined","my card declined","was"),("the app crashes on start",None,None),("leaves turn red in autumn",None,None),("planes leave white trails",None,None),("onions make you cry",None,None),("my order is delayed","my order delayed","is"),("prices go up",None,None),("dogs bark at night",None,None),("the screen flickers",None,None)]
out=[]
def add(a,b,y):
    if a!=b: out.append((a,b,y))
for v,g,neg in ACT:
    F=[h.format(v=v,g=g) for h in HOW]
    for _ in range(22): a,b=R.sample(F,2); add(a,b,1)
    for n in neg:
        for _ in range(5):
            h=R.choice([x for x in HOW if '{g}' not in x]); h2=h if R.random()<.5 else R.choice([x for x in HOW if '{g}' not in x]); add(h.format(v=v,g=g),h2.format(v=n),0)
    for _ in range(7):
        h=R.choice([x for x in HOW if '{g}' not in x]); add(R.choice(F),h.format(v=v+R.choice(MOD)),0)
    for _ in range(3):
        h=R.choice([x for x in HOW if '{g}' not in x]); m=R.sample(MOD,2); add(h.format(v=v+m[0]),h.format(v=v+m[1]),0)
    for _ in range(7): add(R.choice(F),R.choice(OTHER).format(v=v,g=g),0)
    o=R.sample(OTHER,4); add(o[0].format(v=v,g=g),o[1].format(v=v,g=g),0); add(o[2].format(v=v,g=g),o[3].format(v=v,g=g),0)
for h,_,ns in NOUN:
    for n in ns:
        F=[f.format(h=h,n=n) for f in NF]
        for k,s in SYN.items():
            if k in h: F+= [f.format(h=h.replace(k,s),n=n) for f in NF[:5]]
        for _ in range(8): a,b=R.sample(F,2); add(a,b,1)
        for _ in range(5): m=R.choice([x for x in ns if x!=n]); add(R.choice(F),R.choice(NF).format(h=h,n=m),0)
        for _ in range(2): h2=R.choice([x[0] for x in NOUN if x[0]!=h]); add(R.choice(F),R.choice(NF).format(h=h2,n=n),0)
        for _ in range(2): add(R.choice(F),R.choice(NF).format(h=h,n=n+R.choice([" in the 19th century"," for pregnant women"," compared to last year"," and its alternatives"])),0)
for s,x,aux in WHY:
    F=[f"What is the reason that {s}?",f"Can you explain why {s}?",f"why {s}",f"What are the reasons why {s}?",f"How come {s}?",f"Do you know why {s}?",f"What is the reason behind the fact that {s}?",f"I want to know why {s}"]
    if x: F.append(f"Why {aux} {x}?")
    else: F.append(f"Why does it happen that {s}?")
    for _ in range(12): a,b=R.sample(F,2); add(a,b,1)
    for _ in range(4):
        t=R.choice([w for w in WHY if w[0]!=s])[0]; add(R.choice(F),f"Can you explain why {t}?",0)
    add(R.choice(F),f"Is it true that {s}?",0); add(R.choice(F),f"When is it that {s}?",0); add(R.choice(F),f"How do I know that {s}?",0)
# Korean
KN=["서울역","인천공항","우리 회사","제주 매장","부산 지점","시청 도서관","강남 센터"]
KA=[("영업시간",["영업 시간","운영시간"],["주차요금","전화번호","주소"]),("주차요금",["주차 요금","주차비"],["영업시간","입장료"]),("입장료",["입장 요금","입장 비용"],["주차비","운영시간"]),("전화번호",["연락처","전화 번호"],["주소","팩스번호"]),("휴무일",["쉬는 날","휴일"],["영업시간","채용 일정"]),("환불 규정",["환불 정책","환불 기준"],["교환 규정","회원 규정"]),("와이파이 비밀번호",["와이파이 암호","와이파이 비번"],["현관 비밀번호","와이파이 속도"])]
KF=["{p} {n} 알려줘","{p} {n} 알려주세요","{p} {n}이 어떻게 되나요?","{p}의 {n} 좀 알려주시겠어요?","{p} {n} 뭐야?","혹시 {p} {n} 아세요?","{p} {n} 궁금합니다","{p} {n} 말해줘","{p} {n}을 알고 싶어요","{p} {n} 가르쳐줄래?"]
KV=[("거실 조명","밝기","높","낮"),("에어컨","온도","올리","내리"),("스피커","볼륨","키우","줄이"),("모니터","밝기","높이","낮추")]
KACT=[("회원 정보를 수정하",["회원 정보를 삭제하","결제 정보를 수정하"]),("주문을 취소하",["주문을 변경하","예약을 취소하"]),("알림을 설정하",["알림을 해제하","비밀번호를 설정하"]),("영수증을 출력하",["계약서를 출력하","영수증을 발급하"]),("예약 날짜를 변경하",["예약 인원을 변경하","배송 날짜를 변경하"]),("파일을 공유하",["화면을 공유하","파일을 복구하"]),("계정을 연동하",["계정을 삭제하","카드를 연동하"]),("사진을 백업하",["사진을 삭제하","연락처를 백업하"]),("배송지를 추가하",["배송지를 삭제하","결제 수단을 추가하"])]
KH=["{s}려면 어떻게 해야 하나요?","{s}는 방법 알려줘","{s}는 법을 알려주세요","어떻게 {s}나요?","{s}고 싶은데 어떻게 하죠?","{s}고 싶어요","{s}는 방법이 뭐야?","{s}려고 하는데 방법 좀 알려주시겠어요?","{s}는 방법 가르쳐 주세요"]
KO=["{s}면 왜 안 돼?","언제 {s}나요?","{s}는 데 얼마나 걸려요?","{s}면 비용이 얼마예요?","{s}지 마세요","{s}면 안 되나요?","누가 {s}나요?"]
for s,ns in KACT:
    F=[h.format(s=s) for h in KH]
    for _ in range(20): a,b=R.sample(F,2); add(a,b,1)
    for n in ns:
        for _ in range(8): add(R.choice(F),R.choice(KH).format(s=n),0)
    for o in KO: add(R.choice(F),o.format(s=s),0)
for n,syn,neg in KA:
    for p in KN:
        F=[f.format(p=p,n=m) for f in KF for m in [n]+syn]
        for _ in range(9): a,b=R.sample(F,2); add(a,b,1)
        for m in neg: add(R.choice(F),R.choice(KF).format(p=p,n=m),0); add(R.choice(F),R.choice(KF).format(p=p,n=m),0)
        for _ in range(5): q=R.choice([x for x in KN if x!=p]); add(R.choice(F),R.choice(KF).format(p=q,n=n),0)
R.shuffle(out)
import numpy as np, onnxruntime as ort
from onnxruntime_extensions import get_library_path
so=ort.SessionOptions(); so.intra_op_num_threads=1; so.register_custom_ops_library(get_library_path())
s=ort.InferenceSession(os.environ['MULTILINGUAL_ONNX'],so)
E={}
def e(x):
    if x not in E:
        v=s.run(['outputs'],{'inputs':np.array([x],dtype=object)})[0][0]; E[x]=v/np.linalg.norm(v)
    return E[x]
with open('data/own.jsonl','w') as f:
    for a,b,y in out: f.write(json.dumps({'a':a,'b':b,'label':y,'cos':round(float(e(a)@e(b)),5)},ensure_ascii=False)+'\n')
print(len(out),sum(y for *_,y in out))
