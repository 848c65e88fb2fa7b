// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! RFC 6979, appendix A.2.3 to A.2.7: the signatures of "sample".

use openssl::hash::MessageDigest;

use crate::protocol::algorithm::Curve;

/// A key, all numbers in hexadecimal, and its signatures.
pub(super) struct Key {
    pub curve: Curve,
    /// The private key.
    pub x: &'static str,
    /// The public key's coordinates.
    pub u: [&'static str; 2],
    /// `r` and `s` for each hash that `hashes()` returns.
    pub signatures: [[&'static str; 2]; 5],
}

/// Returns the hashes, in the order of the signatures.
pub(super) fn hashes() -> [MessageDigest; 5] {
    [
        MessageDigest::sha1(),
        MessageDigest::sha224(),
        MessageDigest::sha256(),
        MessageDigest::sha384(),
        MessageDigest::sha512(),
    ]
}

/// One key for each curve.
pub(super) const KEYS: [Key; 5] = [
    Key {
        curve: Curve::P192,
        x: "6fab034934e4c0fc9ae67f5b5659a9d7d1fefd187ee09fd4",
        u: [
            "ac2c77f529f91689fea0ea5efec7f210d8eea0b9e047ed56",
            "3bc723e57670bd4887ebc732c523063d0a7c957bc97c1c43",
        ],
        signatures: [
            [
                "98c6bd12b23eaf5e2a2045132086be3eb8ebd62abf6698ff",
                "57a22b07dea9530f8de9471b1dc6624472e8e2844bc25b64",
            ],
            [
                "a1f00dad97aeec91c95585f36200c65f3c01812aa60378f5",
                "e07ec1304c7c6c9debbe980b9692668f81d4de7922a0f97a",
            ],
            [
                "4b0b8ce98a92866a2820e20aa6b75b56382e0f9bfd5ecb55",
                "ccdb006926ea9565cbadc840829d8c384e06de1f1e381b85",
            ],
            [
                "da63bf0b9abcf948fbb1e9167f136145f7a20426dcc287d5",
                "c3aa2c960972bd7a2003a57e1c4c77f0578f8ae95e31ec5e",
            ],
            [
                "4d60c5ab1996bd848343b31c00850205e2ea6922dac2e4b8",
                "3f6e837448f027a1bf4b34e796e32a811cbb4050908d8f67",
            ],
        ],
    },
    Key {
        curve: Curve::P224,
        x: "f220266e1105bfe3083e03ec7a3a654651f45e37167e88600bf257c1",
        u: [
            "00cf08da5ad719e42707fa431292dea11244d64fc51610d94b130d6c",
            "eeab6f3debe455e3dbf85416f7030cbd94f34f2d6f232c69f3c1385a",
        ],
        signatures: [
            [
                "22226f9d40a96e19c4a301ce5b74b115303c0f3a4fd30fc257fb57ac",
                "66d1cdd83e3af75605dd6e2feff196d30aa7ed7a2edf7af475403d69",
            ],
            [
                "1cdfe6662dde1e4a1ec4cdedf6a1f5a2fb7fbd9145c12113e6abfd3e",
                "a6694fd7718a21053f225d3f46197ca699d45006c06f871808f43ebc",
            ],
            [
                "61aa3da010e8e8406c656bc477a7a7189895e7e840cdfe8ff42307ba",
                "bc814050dab5d23770879494f9e0a680dc1af7161991bde692b10101",
            ],
            [
                "0b115e5e36f0f9ec81f1325a5952878d745e19d7bb3eabfaba77e953",
                "830f34ccdfe826ccfdc81eb4129772e20e122348a2bbd889a1b1af1d",
            ],
            [
                "074bd1d979d5f32bf958ddc61e4fb4872adcafeb2256497cdac30397",
                "a4ceca196c3d5a1ff31027b33185dc8ee43f288b21ab342e5d8eb084",
            ],
        ],
    },
    Key {
        curve: Curve::P256,
        x: "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
        u: [
            "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
            "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
        ],
        signatures: [
            [
                "61340c88c3aaebeb4f6d667f672ca9759a6ccaa9fa8811313039ee4a35471d32",
                "6d7f147dac089441bb2e2fe8f7a3fa264b9c475098fdcf6e00d7c996e1b8b7eb",
            ],
            [
                "53b2fff5d1752b2c689df257c04c40a587fababb3f6fc2702f1343af7ca9aa3f",
                "b9afb64fdc03dc1a131c7d2386d11e349f070aa432a4acc918bea988bf75c74c",
            ],
            [
                "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
                "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
            ],
            [
                "0eafea039b20e9b42309fb1d89e213057cbf973dc0cfc8f129edddc800ef7719",
                "4861f0491e6998b9455193e34e7b0d284ddd7149a74b95b9261f13abde940954",
            ],
            [
                "8496a60b5e9b47c825488827e0495b0e3fa109ec4568fd3f8d1097678eb97f00",
                "2362ab1adbe2b8adf9cb9edab740ea6049c028114f2460f96554f61fae3302fe",
            ],
        ],
    },
    Key {
        curve: Curve::P384,
        x: "
            6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825
            f872c9ea60d2edf5",
        u: [
            "
                ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea90558660
                64a254515480bc13",
            "
                8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe
                7344fd2533264720",
        ],
        signatures: [
            [
                "
                    ec748d839243d6fbef4fc5c4859a7dffd7f3abddf72014540c16d73309834fa37b9ba002899f6fda
                    3a4a9386790d4eb2",
                "
                    a3bcfa947beef4732bf247ac17f71676cb31a847b9ff0cbc9c9ed4c1a5b3facf26f49ca031d48575
                    70ccb5ca4424a443",
            ],
            [
                "
                    42356e76b55a6d9b4631c865445dbe54e056d3b3431766d0509244793c3f9366450f76ee3de43f5a
                    125333a6be060122",
                "
                    9da0c81787064021e78df658f2fbb0b042bf304665db721f077a4298b095e4834c082c03d83028ef
                    bf93a3c23940ca8d",
            ],
            [
                "
                    21b13d1e013c7fa1392d03c5f99af8b30c570c6f98d4ea8e354b63a21d3daa33bde1e888e63355d9
                    2fa2b3c36d8fb2cd",
                "
                    f3aa443fb107745bf4bd77cb3891674632068a10ca67e3d45db2266fa7d1feebefdc63eccd1ac42e
                    c0cb8668a4fa0ab0",
            ],
            [
                "
                    94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf9
                    6e36dd1e80fabe46",
                "
                    99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e
                    7b82c71a38628ac8",
            ],
            [
                "
                    ed0959d5880ab2d869ae7f6c2915c6d60f96507f9cb3e047c0046861da4a799cfe30f35cc900056d
                    7c99cd7882433709",
                "
                    512c8cceee3890a84058ce1e22dbc2198f42323ce8aca9135329f03c068e5112dc7cc3ef3446defc
                    eb01a45c2667fdd5",
            ],
        ],
    },
    Key {
        curve: Curve::P521,
        x: "
            00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75caa896eb32f1f47c
            70855836a6d16fcc1466f6d8fbec67db89ec0c08b0e996b83538",
        u: [
            "
                01894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd371123d46e45db6b
                5d5370a7f20fb633155d38ffa16d2bd761dcac474b9a2f5023a4",
            "
                00493101c962cd4d2fddf782285e64584139c2f91b47f87ff82354d6630f746a28a0db25741b5b34
                a828008b22acc23f924faafbd4d33f81ea66956dfeaa2bfdfcf5",
        ],
        signatures: [
            [
                "
                    00343b6ec45728975ea5cba6659bbb6062a5ff89eea58be3c80b619f322c87910fe092f7d45bb0f8
                    eee01ed3f20babec079d202ae677b243ab40b5431d497c55d75d",
                "
                    00e7b0e675a9b24413d448b8cc119d2bf7b2d2df032741c096634d6d65d0dbe3d5694625fb9e8104
                    d3b842c1b0e2d0b98bea19341e8676aef66ae4eba3d5475d5d16",
            ],
            [
                "
                    01776331cfcdf927d666e032e00cf776187bc9fdd8e69d0dabb4109ffe1b5e2a30715f4cc923a4a5
                    e94d2503e9acfed92857b7f31d7152e0f8c00c15ff3d87e2ed2e",
                "
                    0050cb5265417fe2320bbb5a122b8e1a32bd699089851128e360e620a30c7e17ba41a666af126ce1
                    00e5799b153b60528d5300d08489ca9178fb610a2006c254b41f",
            ],
            [
                "
                    01511bb4d675114fe266fc4372b87682baecc01d3cc62cf2303c92b3526012659d16876e25c7c1e5
                    7648f23b73564d67f61c6f14d527d54972810421e7d87589e1a7",
                "
                    004a171143a83163d6df460aaf61522695f207a58b95c0644d87e52aa1a347916e4f7a72930b1bc0
                    6dbe22ce3f58264afd23704cbb63b29b931f7de6c9d949a7ecfc",
            ],
            [
                "
                    01ea842a0e17d2de4f92c15315c63ddf72685c18195c2bb95e572b9c5136ca4b4b576ad712a52be9
                    730627d16054ba40cc0b8d3ff035b12ae75168397f5d50c67451",
                "
                    01f21a3cee066e1961025fb048bd5fe2b7924d0cd797babe0a83b66f1e35eeaf5fde143fa85dc394
                    a7dee766523393784484bdf3e00114a1c857cde1aa203db65d61",
            ],
            [
                "
                    00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f174e25a1ee9017b5
                    d450606add152b534931d7d4e8455cc91f9b15bf05ec36e377fa",
                "
                    00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af282623eaa63e5b5c
                    0723d8b8c37ff0777b1a20f8ccb1dccc43997f1ee0e44da4a67a",
            ],
        ],
    },
];
