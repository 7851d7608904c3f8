import wordfreq,math,collections,sys
out=open(sys.argv[1],'w')
out.write("""# How common a word is: tenths of the Zipf scale (log10 of occurrences per billion words), then the words.
# From wordfreq 3.1.1 (Robyn Speer, https://github.com/rspeer/wordfreq), lists large_en and small_ko (the latter morphemes),
# its data redistributable under CC BY-SA 4.0, and so is this file. Written by scripts/train-verifier words.
""")
for lang,size,cut in (('en','large',3.7),('ko','small',4.2)):
    w=wordfreq.get_frequency_dict(lang,wordlist=size)
    b=collections.defaultdict(list)
    for k,v in w.items():
        z=math.log10(v)+9
        if z<cut: continue
        if lang=='en' and not (k.isascii() and k.replace("'",'').isalpha() and len(k)>1): continue
        if lang=='ko' and not all('\uac00'<=c<='\ud7a3' for c in k): continue
        b[min(70,int(z*5)*2)].append(k)
    for z in sorted(b,reverse=True):
        ws=sorted(b[z])
        for i in range(0,len(ws),16): out.write(f"{lang} {z} {' '.join(ws[i:i+16])}\n")
