// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Published vectors for RSA. All numbers are hexadecimal.

use crate::protocol::algorithm::RsaHash;

/// A private key: n, e, d, p, q, d mod (p - 1), d mod (q - 1), 1/q mod p.
pub(super) type PrivateKey = [&'static str; 8];

/// An encryption whose random bytes are known.
pub(super) struct Encryption {
    pub key: PrivateKey,
    pub message: &'static str,
    pub filling: &'static str,
    pub ciphertext: &'static str,
}

/// A signature with SHA-1.
pub(super) struct Signature {
    pub key: PrivateKey,
    pub message: &'static str,
    pub signature: &'static str,
}

/// RSA Laboratories, `pkcs1v15crypt-vectors.txt`: examples 1.1, and 7.1, whose modulus has
/// 1025 bits.
pub(super) const ENCRYPTIONS: [Encryption; 2] = [
    Encryption {
        key: [
            "
                a8b3b284af8eb50b387034a860f146c4919f318763cd6c5598c8ae4811a1e0abc4c7e0b082d693a5
                e7fced675cf4668512772c0cbc64a742c6c630f533c8cc72f62ae833c40bf25842e984bb78bdbf97
                c0107d55bdb662f5c4e0fab9845cb5148ef7392dd3aaff93ae1e6b667bb3d4247616d4f5ba10d4cf
                d226de88d39f16fb",
            "010001",
            "
                53339cfdb79fc8466a655c7316aca85c55fd8f6dd898fdaf119517ef4f52e8fd8e258df93fee180f
                a0e4ab29693cd83b152a553d4ac4d1812b8b9fa5af0e7f55fe7304df41570926f3311f15c4d65a73
                2c483116ee3d3d2d0af3549ad9bf7cbfb78ad884f84d5beb04724dc7369b31def37d0cf539e9cfcd
                d3de653729ead5d1",
            "
                d32737e7267ffe1341b2d5c0d150a81b586fb3132bed2f8d5262864a9cb9f30af38be448598d413a
                172efb802c21acf1c11c520c2f26a471dcad212eac7ca39d",
            "
                cc8853d1d54da630fac004f471f281c7b8982d8224a490edbeb33d3e3d5cc93c4765703d1dd79164
                2f1f116a0dd852be2419b2af72bfe9a030e860b0288b5d77",
            "
                0e12bf1718e9cef5599ba1c3882fe8046a90874eefce8f2ccc20e4f2741fb0a33a3848aec9c9305f
                becbd2d76819967d4671acc6431e4037968db37878e695c1",
            "
                95297b0f95a2fa67d00707d609dfd4fc05c89dafc2ef6d6ea55bec771ea333734d9251e79082ecda
                866efef13c459e1a631386b7e354c899f5f112ca85d71583",
            "
                4f456c502493bdc0ed2ab756a3a6ed4d67352a697d4216e93212b127a63d5411ce6fa98d5dbefd73
                263e3728142743818166ed7dd63687dd2a8ca1d2f4fbd8e1",
        ],
        message: "6628194e12073db03ba94cda9ef9532397d50dba79b987004afefe34",
        filling: "
            017341ae3875d5f87101f8cc4fa9b9bc156bb04628fccdb2f4f11e905bd3a155d376f593bd730421
            0874eba08a5e22bcccb4c9d3882a93a54db022f503d16338b6b7ce16dc7f4bbf9a96b59772d6606e
            9747c7649bf9e083db981884a954ab3c6f",
        ciphertext: "
            50b4c14136bd198c2f3c3ed243fce036e168d56517984a263cd66492b80804f169d210f2b9bdfb48
            b12f9ea05009c77da257cc600ccefe3a6283789d8ea0e607ac58e2690ec4ebc10146e8cbaa5ed4d5
            cce6fe7b0ff9efc1eabb564dbf498285f449ee61dd7b42ee5b5892cb90601f30cda07bf26489310b
            cd23b528ceab3c31",
    },
    Encryption {
        key: [
            "
                01709341d2ec0804a74034e8fa728642983d1650d746e449c9ee4079aa15e51f1fc134242e524b0d
                3d0dbf5a5121939b125fcc863e514160b634e37aa69894776c7d33e1e7c619521de482a0aea45c3c
                6abc3f33e25d86ffa1393325659bf2d4098df169b4072187660e277700199b7a3e3484b3845f6fbf
                3198657df8cbf3a81b",
            "010001",
            "
                6febf798121e993324972c8c28ccc65a2e6aa15fcde232da03e4464db4da5faa27e42a7c7a76d9ed
                49486b27a9d785c67d9ac0c519ad8dada6bfd115d7cd75b99c4b59c76983a7015b0da6973c69fa95
                0810ae2768d97588900562e86a6df7c714b844b1e046686a5afc667b13573a55be9b5b38b99bd3cf
                54e4344a2f2d0e21",
            "
                0140ef5b507054d5a694464ef47e49868cb33c97e0e3edd77bf45a525e608d7e215f913348a9b827
                c839737a42b6adfbb2bb497e1478922f718897d9feed277a6b",
            "
                0126004bbe2df76b6f38aea164b1fd0f97612b2db96cede28a3a91ce0d74253bb3f9559b89f48133
                75652a507006ce9995a98f0e6ef3bc22e5519b613bfbcd5511",
            "
                9814d4e0b95a7a2405ff8b4ab0cd86c505eaa0ce213483f86942a3e5b53b5799d8ffa59db94f5b0a
                b6aed230eb006755bb0a88848ade3b3d41cd33b06a115b21",
            "
                1c4b1cfef16785344fed26650d68002f1e4fcc77b2cef5e53d9bb88bbce8b4652e9299845e3e6cd8
                58630918aedf0512cd1d9253052bcee3e8c59e46ea85a931",
            "
                fdc510c4d9790730b0fd47d313abd40858c7dfd58f4b37915f7a4b1db3d7d8abd06d3da002de984a
                7609cc18a94486460a61746c7ea63117a68aa28259744f49",
        ],
        message: "
            da509dce45e24700379bfe5aa1a81c24706c1842d9b13e7a2e0a15d3a4af8e6d08612dcaa15d460e
            ce872988e3e90fb27e5ca5c10fa1facdcb0e",
        filling: "
            808c2046fb505c37695c8dc35c38f9f9905ab48a2b8a146e8e8eda3385ced95a313b2dc6eb418367
            feeff79a02ad74646df7a5d87054acddaf34eafd5c1db58e5dec0481",
        ciphertext: "
            00fc3d0aaaf26cdf25a1a8dfcb71700fb65e2ab5551ae5f419b2d2f94cef017302b00abd9e6c6efa
            e94474d18e68da0a7c17ef2c5fcc89071d3b07121b9c01e30ff053663f61f89fdbc49bdcf8e67166
            9443919d41342845e3e99e46a8a3b48e2398a88e5b45d99a17dd1f212edabcbcd300a84d398ef579
            35bdae959e6054e73a",
    },
];

/// RSA Laboratories, `pkcs1v15sign-vectors.txt`: examples 1.1 and 7.1.
pub(super) const SIGNATURES: [Signature; 2] = [
    Signature {
        key: [
            "
                a56e4a0e701017589a5187dc7ea841d156f2ec0e36ad52a44dfeb1e61f7ad991d8c51056ffedb162
                b4c0f283a12a88a394dff526ab7291cbb307ceabfce0b1dfd5cd9508096d5b2b8b6df5d671ef6377
                c0921cb23c270a70e2598e6ff89d19f105acc2d3f0cb35f29280e1386b6f64c4ef22e1e1f20d0ce8
                cffb2249bd9a2137",
            "010001",
            "
                33a5042a90b27d4f5451ca9bbbd0b44771a101af884340aef9885f2a4bbe92e894a724ac3c568c8f
                97853ad07c0266c8c6a3ca0929f1e8f11231884429fc4d9ae55fee896a10ce707c3ed7e734e44727
                a39574501a532683109c2abacaba283c31b4bd2f53c3ee37e352cee34f9e503bd80c0622ad79c6dc
                ee883547c6a3b325",
            "
                e7e8942720a877517273a356053ea2a1bc0c94aa72d55c6e86296b2dfc967948c0a72cbccca7eacb
                35706e09a1df55a1535bd9b3cc34160b3b6dcd3eda8e6443",
            "
                b69dca1cf7d4d7ec81e75b90fcca874abcde123fd2700180aa90479b6e48de8d67ed24f9f19d85ba
                275874f542cd20dc723e6963364a1f9425452b269a6799fd",
            "
                28fa13938655be1f8a159cbaca5a72ea190c30089e19cd274a556f36c4f6e19f554b34c077790427
                bbdd8dd3ede2448328f385d81b30e8e43b2fffa027861979",
            "
                1a8b38f398fa712049898d7fb79ee0a77668791299cdfa09efc0e507acb21ed74301ef5bfd48be45
                5eaeb6e1678255827580a8e4e8e14151d1510a82a3f2e729",
            "
                27156aba4126d24a81f3a528cbfb27f56886f840a9f6e86e17a44b94fe9319584b8e22fdde1e5a2e
                3bd8aa5ba8d8584194eb2190acf832b847f13a3d24a79f4d",
        ],
        message: "
            cdc87da223d786df3b45e0bbbc721326d1ee2af806cc315475cc6f0d9c66e1b62371d45ce2392e1a
            c92844c310102f156a0d8d52c1f4c40ba3aa65095786cb769757a6563ba958fed0bcc984e8b517a3
            d5f515b23b8a41e74aa867693f90dfb061a6e86dfaaee64472c00e5f20945729cbebe77f06ce78e0
            8f4098fba41f9d6193c0317e8b60d4b6084acb42d29e3808a3bc372d85e331170fcbf7cc72d0b71c
            296648b3a4d10f416295d0807aa625cab2744fd9ea8fd223c42537029828bd16be02546f130fd2e3
            3b936d2676e08aed1b73318b750a0167d0",
        signature: "
            6bc3a06656842930a247e30d5864b4d819236ba7c68965862ad7dbc4e24af28e86bb531f03358be5
            fb74777c6086f850caef893f0d6fcc2d0c91ec013693b4ea00b80cd49aac4ecb5f8911afe539ada4
            a8f3823d1d13e472d1490547c659c7617f3d24087ddb6f2b72096167fc097cab18e9a458fcb634cd
            ce8ee35894c484d7",
    },
    Signature {
        key: [
            "
                016934cdff4850b6002cc0f0f4010a32c655e5cf6e7c89937fd755ef6abe379dadde70cc217751f1
                4cba6d90fe52dc0af58b252f26bf72da579fdaf57ddd6cd6021879949a0276b4433ff01efcccf35a
                11e7c77b38c18cca94ae012d0f370421491c52ad15ac76b12ecd218f52e757866e089dd8adbb48e9
                ba894336c575c40655",
            "010001",
            "
                0d1719e5bd476d87c7ecc31eb8ab425d4fe4c8f5c7ae230a1047553ffb539fd3855af5a43b2ddd4e
                95a2b30d407aa88159bbad2a873d8093b48a4bce20ad9926253ed339ac3b543fc7429695338db0bc
                1dc3686cfd139bb5b28736bc1660a95348fc91c325d03a7fb216d2d9cd9364de4ee7d2119c3b0fbb
                a8a71f0d3f5ab9b9",
            "
                0158c0246cd169fc593b258bbf4523ab2b55c460733a7fb469109077b30e4d35f21a35b1f41e4204
                e81d2e4c463c24113934098b452dab4be1599720ef6872833d",
            "
                010c382dea5e7d79298c641fb2e4fa09f24f6a7a459a882c87a803495f056ecc3b43c537731f85ef
                c8fb5387ad6731a643533215decc387d9676122c170e91e0f9",
            "
                d578dcd538f2fcdc3000b6c0f049fee2ad9014fd24fb10b6821842d67003a564cd8ff42a2a564cfd
                819c3a84bf16c2477e8e6e5b9ec4d40ead502487ba50362d",
            "
                8888dc8eae94eea580cac2fc1ce54f44e2ba500db8715341a6fc2d504a82b14205e891a66fc88d5c
                60db8f786ccc70575b3566bea874a5317f5f16c491ed1e79",
            "
                17b0d62336191e63bca159934d0616cb8997409cbfca3705695b14fb64a081c1c9f586193e523abd
                0beb8d720cfe537dfa1edec4a66437d241196b7a2ce556c4",
        ],
        message: "
            3539997ae709fe32c1036a132757f2a1667a91cc83be733aada1bdd217924c9a2c9fed1fecf61d1c
            f79dae9a83f8ae3f4d051b34fbb559cbfda492f1d83b8beba045d4ae1c8fea15b7577a1b8a3f55ba
            c1727edca7f8f52cb4ba61caf1fa8f8fd9aac779095ca84c7991529fb80699d0d4688dfdb142ed61
            a95b89ce3306bf9780e1b91b848c8d2003970e52702a1f612e2f4017cfe0a91db9e46db9dc",
        signature: "
            00080f770a2d1f6abf5f221f62e166abd79d06c7b9a878d61b80fc4d5ba290b23abaab518f09447e
            45aee6f3bd0610244436a4730160e6a672110c01aeb5624b718dc7c0861e586ba8b60a29d6a5755c
            d2cc508599c6e28d7355b27e40b740c6fbbbb1a91823b1c1242ba693d452695147dbb23ea89cbf11
            eb8b07ec3a027b0f17",
    },
];

/// NIST CAVP, `SigGen15_186-3.rsp`, [mod = 2048]: n.
pub(super) const CAVP_MODULUS: &str = "
    a564d3d06be468a46958d56bb4884e2c4c28f538b7e15df35330505177789d3e1d792ad7aec7fc80
    a8cccf7ed4030471100401724bd4636a8a8244180cc655e256c00e778efe8bea55ab52d3a557075e
    35039d687cc0755b939a44a73033a0a6f09d2d6ae7e6593380718be00814d20567b1d7d48b633735
    e423017ff0a7b406d822f45fbb4d234028ca78abb702b18fcce13d2f69148ef584e9aaf283caab38
    f6946d342d600c6e77b7370a05ff302e5483b0faad3103d0b3e8c9c8e9eca1d4a871bdbd09585eb0
    0dc3a488271cf6a3b767e68ea9bd2c83e8c89fd047f17915cf6a4c05bb9222b7e4470df5f3f1a283
    24c1aafcbb2236d2293041d128b0e15f";

/// NIST CAVP, `SigGen15_186-3.rsp`, [mod = 2048]: e.
pub(super) const CAVP_EXPONENT: &str = "1001";

/// NIST CAVP, `SigGen15_186-3.rsp`, [mod = 2048]: the first message and signature of each hash.
pub(super) const CAVP_SIGNATURES: [(RsaHash, &str, &str); 5] = [
    (
        RsaHash::Sha1,
        "
            f6c5f5fec6b7324a1b4ef0cba4ca7b6e2e1130ed1a548f950ff0924cec923dd2019f77477ed318ee
            2b2843305af9f6e41b67dfcdaefc72643e8e38d8cc666a5469a2be80a8d8814a53fce6e65d849e13
            18c9a8a1a8b16b30b88b023a6b3ad754959673b02c0f94e7f99480f593b39a858e013370f0bca280
            e4af9779b356ac5a",
        "
            712c32aa0d46b4fad294704103fbe3519640f3efcf168eadf265f61bf9f7976d8c11ba3d85dd4e3b
            b0cdd6c15c2fc6520adf1deadbcdd735a9f0f5f90ba51c9177cbe8c0df1219db3afb8dfe7f3a0c5e
            1b3b9a7c0bcf017b0d16037f5ae1a85b3eff591b5a2f2deef7cf5a79deed928675e35d546504ebfa
            b57b60aedf8c7cd7fe5cd7efc9f8a00c7f3f4a398103181801089974ca38ea585a0eebe3d84b6454
            dd9f880daae2181157a5f76f34ee30fe396fa0ab396b886310769d6d773487865c9ba23db777a596
            b696486e875d2b4e07131d5276b788de62e439768ad308c3120975cdfd6f186202d36313ef194dba
            99a366c08196b8228c9bb69a2a5abcd6",
    ),
    (
        RsaHash::Sha224,
        "
            9464be84270ae7f16211f0be8839e8c8d0734ab22097dd371859d9be527a4b2fe83bba0637170ba6
            e3b1a2ef1c0cca121ffa57a4ffd78af2a5763495155c1e46f42ca9f34763b2127e45b835b11841de
            298f799522891d39cffc97949f2b6b31bf20d172e056a3dd3ab67ab7d1c415d4f71bfaad12175fb3
            9fd14ae37750f89b",
        "
            2e55959f939a20ed2a069632de4ec4779deba47399a2e9474553886687deccb7f2241ad8207c2090
            406f652a471541aebafc6d4c91bcf166df74b3f2297e3030aea04395220a84a5c4db25f59079e9bd
            758a5d288bdb939c11d6c8e8e7621c9406e61850a1006fae423446c4129d475167ca6fb1dbface35
            a3411de1fcdf9c27929506d87087bd568de0c75dfe8d35a7a5cfd4a1d4c817cfe86ffff90767e07f
            31eb29c2412d877dc4076a47809912560b06e6e043a56aa742679687eece317c64039bb5922ee188
            ff753c3cd39f10a7522ff78ef6dd9b05fd6dcef122cf393048ec9213dec37d8cff4ae9216ec38637
            3bcf823c38f42c83a9882c9a69c99bb9",
    ),
    (
        RsaHash::Sha256,
        "
            8f51ec6359d7efe1898274fa89ea4a91b8bbf95e05fef84bbc9a201e9f1a615939b0b45e6f7a50d7
            580521554f1076374692face5dfee5bfb3c573a87b1c96065301e756d278e37a601b545f4bd10ddd
            17dedade151cb7c33787400322ff6915854a6f91a9590f924accf55ea6b87749d3a783d655e0d620
            f0e96f78bb4b4450",
        "
            795b0d51721469dcdf14df08eacaa83af79c2734226b3c8e048cbc4bd44ed7dc6c1efaefe1c71f01
            7a87641827a0d3af287e8c27efa7cebfc9435efc7f6eab1e373551887217d08313e8ae5ef0b0efcb
            87c49c1f2898fcc117ac7db229d34bd4ac39a4f91377f4b5a038338e7d4cf530e4e00ff67bf257e2
            7e55fa6d2c0eb21ad0bcfd65f9ea760a440cab4f904d4b817604289bc8ff96fb07c0a23b5d31abff
            a706241d47fb42ef09b7bec820e6076ebe7e1e0f4eefe755bab2cbcae557aab8208bb681d5381c1d
            09b4ccf1100f33cad1990efb507062ea51de3dfae0821f106b4b052244c379d0d32de7a56ee17a7d
            9a5dca2b472f0d3eefa05f4e02fc0295",
    ),
    (
        RsaHash::Sha384,
        "
            7ff1fbab615bc95c3a4acc20c855d1df643d2503d973042476da54e562cd941930640f2bb3f355bc
            14d4eb8d216742a0e856e69a851ef86c38cbde32bb02395bd245170b23736bbd488eba2d23c11675
            71a25076a2b46a79e9304b168f05b6568c1d7d1458e2f2a9ff019fc8746d37a627a8cc5ed93e4195
            af92035986dcf44f",
        "
            18f57a57bdaa5cde7b1ccc571ae27ec701d800b7fe2fa856b4702343cc728baee8096585cae6b684
            e177abdf20cffc0a2e2d4d52d103d06aa2f43790a63e1fc0c94a1d72aaeef28934d8234be6ac69d5
            03656967ece11e9dc5ad4c7fc65188274ff07660a21ba498556c1d0efc3e381dac279a90bc80c042
            f868fbcc109e566892495a9217bda692db965970a5128369e3727f135397e1d829cbb6b4d5c29d6c
            2dff1b7f42fa26fa2c1d130f9e29a8e3eca0575d6e9b1f0d558995d170e52f9db3aea4f8fbfb1fdc
            679e729ea19de8c783179751c912ca81b45fa5d0bbe34a50c9ac2872efe2eeee9b1cfead25d918a4
            a2a5a4438c9aa59a87a5678920c580a4",
    ),
    (
        RsaHash::Sha512,
        "
            8326a2b2ec2f02698180201a8b4f2cc74fdb3cbf36fe90cd2b011aaf45b53dc9a6bfd61ba3347971
            2566fdd94efd3a5a604911e3dbd6ad82e64109d6f04bb2c7972ccf74c92a5e6d2969c023b405789d
            a45e306c94b3fce0e6f3e37c62cf9ca81f1495a6a7383ac7563273df038f6ef6e3c3a040a9bd0650
            f2beb188e16a81d4",
        "
            16a2b02fe235b63a8b2ac07af130f60cf44f7f608b78295d2f0964a6de0974eb082ff628c8bfc122
            293fe39ca8336c61710f71007e55ba792958fd71924d2bc6194b301792ec276b6dbe44d5f82cc556
            99a9966129d3f6920b6f99aac03ccc28816925c791c3319b2a0847e000e7bd9c6eb5bb29ff06badf
            c7848e66f57eeb19a758300a3cf4ee905f641bf65415dbab47c3773557f83b7ca3e4ac8a5eed698d
            4ea6795f42e50aff41fdbbbc96ee636ca2eac0046f0e986e975f6d3294cda85381155e5ecf9a8148
            756d4a3e2fb43cf45049bd7cc54a9cefb9276ffdaa11a12de93d2c1da4035a34cd4fc75fc526f391
            2e592078f8abc510829df8ff84c524de",
    ),
];
