//! What comparison by meaning makes of two answers to one question.

use crate::world::World;
use reprise::gateway::trust::compare::{Likeness, SAME, likeness};

/// Pairs that serve whoever asked equally well.
const SAME_ANSWER: &[(&str, &str)] = &[
    (
        "Open Settings, choose Security and press Reset password.",
        "Go to Settings, select Security, then click Reset password.",
    ),
    (
        "You can return any item within 30 days for a full refund.",
        "Items may be returned within 30 days, and you get all your money back.",
    ),
    (
        "Our support team is available on weekdays from 9 am to 5 pm.",
        "You can reach our support team Monday to Friday, 9 am to 5 pm.",
    ),
    (
        "Yes, we ship to Canada. Delivery takes about 7 days.",
        "Yes, shipping to Canada is possible and takes around 7 days.",
    ),
    (
        "To cancel your subscription, open Billing and click Cancel plan.",
        "You can cancel your subscription under Billing by clicking Cancel plan.",
    ),
    (
        "The invoice is in your account under Orders, as a PDF.",
        "You will find the invoice as a PDF in your account, in the Orders section.",
    ),
    (
        "Please restart the router and wait two minutes before you try again.",
        "Restart your router, wait two minutes, and then try again.",
    ),
    (
        "We accept credit cards, PayPal and bank transfer.",
        "You can pay by credit card, PayPal or bank transfer.",
    ),
    (
        "The warranty covers manufacturing defects for 2 years.",
        "Manufacturing defects are covered by the warranty for 2 years.",
    ),
    (
        "Your data is stored encrypted in data centres in Germany.",
        "We store your data, encrypted, in German data centres.",
    ),
    ("Paris is the capital of France.", "The capital of France is Paris."),
    (
        "Tap your profile picture and choose Log out.",
        "To log out, tap on your profile picture and select Log out.",
    ),
    ("The app needs Android 12 or later.", "You need Android 12 or newer to run the app."),
    ("Dial 112 for emergencies.", "In an emergency, call 112."),
    ("Boil the pasta for 9 minutes in salted water.", "Cook the pasta in salted water for 9 minutes."),
    (
        "설정에서 보안을 열고 비밀번호 재설정을 누르세요.",
        "설정의 보안 메뉴에서 비밀번호 재설정을 눌러 주세요.",
    ),
    ("구매 후 30일 이내에 환불받으실 수 있습니다.", "환불은 구매일로부터 30일 이내에 가능합니다."),
    (
        "고객센터는 평일 오전 9시부터 오후 6시까지 운영됩니다.",
        "평일 오전 9시부터 오후 6시까지 고객센터를 이용하실 수 있습니다.",
    ),
    ("영수증은 주문 내역에서 내려받을 수 있습니다.", "주문 내역에 들어가시면 영수증을 다운로드할 수 있어요."),
    ("공유기를 껐다가 켠 뒤 다시 시도해 주세요.", "공유기를 재시작하고 다시 시도해 보세요."),
    ("프랑스의 수도는 파리입니다.", "파리가 프랑스의 수도예요."),
    ("구독은 결제 메뉴에서 해지할 수 있습니다.", "결제 메뉴로 가시면 구독을 해지하실 수 있어요."),
    ("배송은 보통 3일 정도 걸립니다.", "보통 3일이면 배송됩니다."),
    ("신용카드와 계좌이체로 결제할 수 있습니다.", "결제는 신용카드나 계좌이체로 가능합니다."),
];

/// Pairs of which one would mislead whoever asked for the other.
const OTHER_ANSWER: &[(&str, &str)] = &[
    ("The link works for 15 minutes.", "The link works for 60 minutes."),
    (
        "Open Settings, choose Security and press Reset password.",
        "Our offices are closed on public holidays.",
    ),
    (
        "You can return any item within 30 days for a full refund.",
        "Sale items cannot be returned or refunded.",
    ),
    ("Yes, we ship to Canada.", "No, we do not ship to Canada."),
    (
        "To turn dark mode on, open Display and switch it on.",
        "To turn dark mode off, open Display and switch it off.",
    ),
    ("Press the left button to accept the call.", "Press the right button to accept the call."),
    ("The capital of Australia is Canberra.", "The capital of Austria is Vienna."),
    ("Your order 1001 is on its way.", "Your order 1002 was delivered yesterday."),
    (
        "To cancel your subscription, open Billing and click Cancel plan.",
        "To upgrade your subscription, open Billing and click Change plan.",
    ),
    (
        "The invoice is in your account under Orders.",
        "Your delivery address is in your account under Profile.",
    ),
    ("We accept credit cards and PayPal.", "We do not accept credit cards or PayPal."),
    ("Restart the router and wait two minutes.", "Replace the battery and tighten the screw."),
    ("Tap your profile picture and choose Log out.", "Enter your e-mail address and choose Log in."),
    ("Mix the flour with water and knead for 10 minutes.", "Whip the cream with sugar until it is stiff."),
    ("The museum is open every day except Monday.", "The museum is in the old town, next to the cathedral."),
    ("The book was written by Jane Austen.", "The book was written by Charles Dickens."),
    ("설정에서 보안을 열고 비밀번호 재설정을 누르세요.", "배송은 보통 사흘 정도 걸립니다."),
    ("구매 후 30일 이내에 환불받으실 수 있습니다.", "구매 후 7일 이내에 환불받으실 수 있습니다."),
    ("해외 배송이 가능합니다.", "해외 배송은 불가능합니다."),
    ("알림을 켜려면 설정을 여세요.", "알림을 끄려면 설정을 여세요."),
    ("대한민국의 수도는 서울입니다.", "일본의 수도는 도쿄입니다."),
    ("구독은 결제 메뉴에서 해지할 수 있습니다.", "주소는 회원 정보에서 변경할 수 있습니다."),
    ("공유기를 껐다가 켠 뒤 다시 시도해 주세요.", "앱을 삭제한 뒤 기기를 초기화해 주세요."),
    ("회의는 월요일에 있습니다.", "회의는 금요일에 있습니다."),
];

#[tokio::test]
async fn most_answers_are_told_apart_and_most_paraphrases_agree() {
    let world = World::with_meaning().await;
    let semantic = world.server.gateway().cache.semantic().expect("loaded");
    let mut passed = [0, 0];
    for (kind, pairs) in [SAME_ANSWER, OTHER_ANSWER].into_iter().enumerate() {
        for (stored, fresh) in pairs {
            let alike = likeness(&semantic, stored, fresh).await.expect("comparable");
            passed[kind] += usize::from(matches!(alike, Likeness::Near(cosine) if cosine >= SAME));
        }
    }
    assert!(passed[0] * 100 >= SAME_ANSWER.len() * 75, "only {passed:?} of the same");
    assert!(passed[1] <= 1, "{passed:?}: others taken for the same");
}
