"""Coded body parts and views, translated to the terms of the older plain-text elements.

Regions: PS3.16, CID 4009 (DX Anatomy Imaged) with the Body Part Examined terms of Annex L,
Table L-1. Views: PS3.16, CID 4010 (DX View) with the defined terms of View Position (0018,5101)
in PS3.3. Codes as in the edition that pydicom 3.0.2 carries (`pydicom.sr`), which a test holds
them against; the retired SNOMED-RT codes (`T-` and `R-`) and the SNOMED CT codes they stood for
are kept because archives are full of them. Regions that are not listed are left out of the facts.
"""

BODY_PART_BY_CODE: dict[str, str] = {
    "816094009": "CHEST",
    "51185008": "CHEST",
    "T-D3000": "CHEST",
    "818981001": "ABDOMEN",
    "113345001": "ABDOMEN",
    "T-D4000": "ABDOMEN",
    "416550000": "CHESTABDOMEN",
    "45048000": "NECK",
    "69536005": "HEAD",
    "89546000": "SKULL",
    "122494005": "CSPINE",
    "122495006": "TSPINE",
    "122496007": "LSPINE",
    "421060004": "SPINE",
    "113197003": "RIB",
    "51299004": "CLAVICLE",
    "56873002": "STERNUM",
    "79601000": "SCAPULA",
    "16982005": "SHOULDER",
    "85050009": "HUMERUS",
    "40983000": "ARM",
    "16953009": "ELBOW",
    "14975008": "FOREARM",
    "74670003": "WRIST",
    "85562004": "HAND",
    "T-D8700": "HAND",
    "7569003": "FINGER",
    "76505004": "THUMB",
    "76752008": "BREAST",
    "816092008": "PELVIS",
    "12921003": "PELVIS",
    "T-D6000": "PELVIS",
    "24136001": "HIP",
    "29836001": "HIP",
    "68367000": "THIGH",
    "71341001": "FEMUR",
    "72696002": "KNEE",
    "T-D9200": "KNEE",
    "30021000": "LEG",
    "70258002": "ANKLE",
    "56459004": "FOOT",
    "T-D9700": "FOOT",
    "80144004": "CALCANEUS",
    "29707007": "TOE",
}
"""Code value of Anatomic Region Sequence (0008,2218) -> Body Part Examined (0018,0015)."""

BODY_PART_BY_SPELLING: dict[str, str] = {
    "THORAX": "CHEST",
    "CHEST PA": "CHEST",
    "CHEST_PA": "CHEST",
    "CHEST AP": "CHEST",
    "CHEST_AP": "CHEST",
    "CHEST PORT": "CHEST",
    "CHEST PORTABLE": "CHEST",
    "PORT CHEST": "CHEST",
    "PORTABLE CHEST": "CHEST",
}
"""What devices write in Body Part Examined (0018,0015) -> the term of PS3.16, Annex L for it.

CHEST is the standard's (Table L-1); the spellings are habits of manufacturers and hospitals, taken
from no standard. Those that name a lateral view are left out: it must not pass as a frontal chest.
"""

VIEW_BY_CODE: dict[str, str] = {
    "272479007": "PA",
    "R-10214": "PA",
    "R-40888": "PA",
    "399348003": "AP",
    "R-10206": "AP",
    "399173006": "LL",
    "R-10236": "LL",
    "399198007": "RL",
    "R-10232": "RL",
}
"""Code value of View Code Sequence (0054,0220) -> View Position (0018,5101)."""
