"""How producers' identifiers and festivals are called in the languages of a report."""

from __future__ import annotations

from typing import Final

from streams.handover.words import LANGUAGES

_NAMES: Final[dict[str, tuple[str, str, str]]] = {
    "tmall": ("Tmall", "Tmall", "天猫"),
    "taobao": ("Taobao", "Taobao", "淘宝"),
    "tmall_global": ("Tmall Global", "Tmall Global", "天猫国际"),
    "juhuasuan": ("Juhuasuan", "Juhuasuan", "聚划算"),
    "lazada": ("Lazada", "Lazada", "Lazada"),
    "aliexpress": ("AliExpress", "AliExpress", "全球速卖通"),
    "kaola": ("Kaola", "Kaola", "考拉"),
    "ele_me": ("Ele.me", "Ele.me", "饿了么"),
    "borderfree": ("Borderfree", "Borderfree", "Borderfree"),
    "shoprunner": ("ShopRunner", "ShopRunner", "ShopRunner"),
    "alipay": ("Alipay", "Alipay", "支付宝"),
    "alipay_epass": ("Alipay ePass", "Alipay ePass", "支付宝海外通"),
    "huabei": ("Huabei", "Huabei", "花呗"),
    "card": ("Card", "Karte", "银行卡"),
    "balance": ("Balance", "Guthaben", "余额"),
    "bank": ("Bank", "Bank", "网银"),
    "invoice": ("Invoice", "Rechnung", "账单支付"),
    "paypal": ("PayPal", "PayPal", "PayPal"),
    "cash_on_delivery": ("Cash on delivery", "Nachnahme", "货到付款"),
    "cainiao": ("Cainiao", "Cainiao", "菜鸟"),
    "partner": ("Partners", "Partner", "合作伙伴"),
    "sf_express": ("SF Express", "SF Express", "顺丰"),
    "ems": ("EMS", "EMS", "EMS"),
    "usps": ("USPS", "USPS", "USPS"),
    "zto": ("ZTO", "ZTO", "中通"),
    "yto": ("YTO", "YTO", "圆通"),
    "webshop": ("Web shop", "Webshop", "网店"),
    "app": ("App", "App", "应用"),
    "dhl": ("DHL", "DHL", "DHL"),
    "dpd": ("DPD", "DPD", "DPD"),
    "Hangzhou": ("Hangzhou", "Hangzhou", "杭州"),
    "Shanghai": ("Shanghai", "Shanghai", "上海"),
    "Beijing": ("Beijing", "Peking", "北京"),
    "Guangzhou": ("Guangzhou", "Guangzhou", "广州"),
    "Chengdu": ("Chengdu", "Chengdu", "成都"),
    "Wuhan": ("Wuhan", "Wuhan", "武汉"),
    "Xi'an": ("Xi'an", "Xi'an", "西安"),
    "Ningbo": ("Ningbo", "Ningbo", "宁波"),
}
"""How producers' identifiers are called; what is not here is told as it is."""
_REGIONS: Final[dict[str, tuple[str, str, str]]] = {
    "HK": ("Hong Kong", "Hongkong", "中国香港"),
    "MO": ("Macao", "Macau", "中国澳门"),
}
"""Shorter than the names that Babel has."""
_FESTIVALS: Final[dict[str, tuple[str, str, str]]] = {
    "Global Shopping Festival 2019": (
        "Global Shopping Festival 2019",
        "Global Shopping Festival 2019",
        "2019年天猫双11全球狂欢节",
    ),
    "Global Shopping Festival 2018": ("Global Shopping Festival 2018", "Global Shopping Festival 2018", "2018年双11"),
    "Singles' Day 2014": ("Singles' Day 2014", "Singles' Day 2014", "2014年双11"),
    "Singles' Day 2013": ("Singles' Day 2013", "Singles' Day 2013", "2013年双11"),
    "Black Friday 2014 (Alipay ePass)": (
        "Black Friday 2014 (Alipay ePass)",
        "Black Friday 2014 (Alipay ePass)",
        "2014年黑色星期五（支付宝海外通）",
    ),
    "Cardboard Day 2019": ("Cardboard Day 2019", "Kartontag 2019", "2019年纸箱回收日"),
}


def named(language: str, identifier: str) -> str | None:
    """Return how a producer's identifier is called, None where we have no name for it."""
    texts = _NAMES.get(identifier)
    return None if texts is None else texts[LANGUAGES.index(language)]


def region_named(language: str, code: str) -> str | None:
    """Return the short name of a region, None where the usual one will do."""
    texts = _REGIONS.get(code)
    return None if texts is None else texts[LANGUAGES.index(language)]


def festival_named(language: str, name: str) -> str:
    """Return a festival's name; a scale behind it ("…, 1 : 50,000") stays."""
    plain, scale, rest = name.partition(", 1 : ")
    texts = _FESTIVALS.get(plain)
    return (plain if texts is None else texts[LANGUAGES.index(language)]) + scale + rest
