"""The fonts of `letters` and `digits`: npm packages of Google Fonts' families, one file of each.

Chosen for different styles: book, slab, mono, geometric, brush, hand, blackletter, stencil, neon.
Licenses: SIL Open Font License 1.1; Luckiest Guy, Permanent Marker and Special Elite Apache-2.0.
"""

from __future__ import annotations

from dataclasses import dataclass

from exemplar_training.data.registry import Package, npm_package


@dataclass(frozen=True)
class Font:
    """`file` is the .ttf's name in the package, less its ending."""

    file: str
    package: Package

    @property
    def family(self) -> str:
        return self.file.partition("_")[0]


def _font(name: str, version: str, file: str, sha256: str) -> Font:
    return Font(file, npm_package(f"@expo-google-fonts/{name}", version, sha256))


# name, version, file, sha256 of the package, as on npm on 2026-11-24
_TABLE = """\
abril-fatface 0.4.1 AbrilFatface_400Regular a0d5b1fe037b5557bc6eddc7ea3a5f9ada915eaf73112ac8c190c90e0514fc6b
alfa-slab-one 0.4.1 AlfaSlabOne_400Regular 3efb117c7ff531faa36f7434c7525ef27093e5617e2167aa6dd05e6f2ff7dfee
amatic-sc 0.4.2 AmaticSC_400Regular ad5f63c901c26440b17e39f50bd43afc06a2671504ff72f319d06b7af6044250
anton 0.4.2 Anton_400Regular ea9320152f74c151575a49d8712011ec49681e5008db71df5a8cad94ae88133b
architects-daughter 0.4.1 ArchitectsDaughter_400Regular c20785fe5b3c63e7b7664a8f4ecfaff4b0e0662f22910fea5628426fa642e28b
audiowide 0.4.1 Audiowide_400Regular 1bf1ac1ef7070b9aed4490305e8c7fafbf0ae53954ad70583d21baaecd574855
bangers 0.4.1 Bangers_400Regular bedff275786fa86283640c4d3d18dac54afbde90c72bdc8342e5b643ca935553
bebas-neue 0.4.1 BebasNeue_400Regular a4f04895fbabc48ba3a0cff976bb8b9ba2078cf48dd0b63a73fc538e7e6326a0
black-ops-one 0.4.1 BlackOpsOne_400Regular 2e6b6079bb09469c7ec289c4b35b1b93d2a5028a52a2ac735b207fe429aa5787
bungee 0.4.1 Bungee_400Regular 7e5e911e102791409bbcb807e506b66f19ca84f6c552f253e0c1855c7cbea3b1
caveat 0.4.2 Caveat_400Regular 83d530c10d893c03c5d2e2c1a7c52532ffb4de7eb8d8cfcf81bad0dfedfc959f
cinzel 0.4.2 Cinzel_400Regular c01fd783d36a3df887d78bba982691dfea1f96c23aad2df03fbc9dfc17e1c44d
comfortaa 0.4.2 Comfortaa_400Regular 1c50ab7ef7635d3e4c5e8133a61d95e2aba58dd62374ad2fcf817506d830466d
courier-prime 0.4.1 CourierPrime_400Regular c85b63713b7c69dc371de8985ad1f89f5a66c4ffe35b9944e8ab579dd8beeb07
creepster 0.4.0 Creepster_400Regular bd952b052778652e669f1abb753b3b73db39e2357195105b4272be72e1a3b779
dancing-script 0.4.2 DancingScript_400Regular b0468b3ab5c79df6ef599349a283ffd342d3caf5d7ead9a41520767499627130
fredoka 0.4.1 Fredoka_400Regular cc2e78444a47a6a15d74163d1ee7a0c9b66082c4a82c67cbeec059eefd81456a
fugaz-one 0.4.1 FugazOne_400Regular 5e74ad1606e4e7efeec8cb300ce6ab1812afc474e5db5460fc93f75b507422d2
great-vibes 0.4.1 GreatVibes_400Regular d117f1f42d10ba8eeab629a7badd6238de7d6a5b391783e7f99c991290c075e3
inconsolata 0.4.2 Inconsolata_400Regular cecaa19aa94719f59b82cdfd4be8897cdbe5ffc2b703496a6d9f11ebcf89805d
indie-flower 0.4.1 IndieFlower_400Regular f51493cb301ac7a8b61e86bea3cd59694c0c900dd9c4ba3caf30f1cfc134471d
josefin-sans 0.4.2 JosefinSans_400Regular 15f73195c38535a39b4980be0d514157edd415e18728d8774a5d8d26a2efd342
limelight 0.4.1 Limelight_400Regular 862d2f95958cc4df3aad5eaa4b61a104fff29713a8d7d338bb85cd41f890907d
lobster 0.4.1 Lobster_400Regular 4e7e547d76af49b554c23565bbf965f0757196da6ac3f755a3be89c37179d4be
luckiest-guy 0.4.1 LuckiestGuy_400Regular 24350178e8f8cc94c0718a433e0703706b37c34962409bc4935c199fef7de24c
merriweather 0.4.2 Merriweather_400Regular 4a2b090c3b585f0257bc3f8d362151e90a4975f420899e2db058ae89a9d691d3
monoton 0.4.1 Monoton_400Regular 78f7d7758d73a489dacf4750ea67680010b11d4635069fb95b889357651b4496
orbitron 0.4.2 Orbitron_400Regular d90c299060f8d6affd7ebeba37acdb5f0fd93ac596d7d781cabd70e5623f6bdb
pacifico 0.4.1 Pacifico_400Regular 0db305f7c2a715a876071a53dc42b847e73d5072ca0853e1e4991164ab06d83f
permanent-marker 0.4.0 PermanentMarker_400Regular 2c79cf1dec015491b41a15a9225af8ce1c0051474a9d94e5cc87baee9ad82041
pirata-one 0.4.1 PirataOne_400Regular 209d6a6806eceefb71fdf58eda5a563e080f5319359b6caa05ffb2c31e7b6e5c
playfair-display 0.4.2 PlayfairDisplay_400Regular 32881439ce695ae85d7d949d4645825a5cb6bac0d464d0ffa09126c922e44e52
poiret-one 0.4.1 PoiretOne_400Regular 86a057f3d861bd3e398a793094c9f115e05949e5783af2dd8aaeb6a26a4cbf53
press-start-2p 0.4.1 PressStart2P_400Regular d7abf3452a12bc6440800e3df66854beb20e29f732653792e3adfaae992c408c
righteous 0.4.1 Righteous_400Regular d45519439e10b34b3c9bb0b9916a706d92b44bec0fd08caeda68bcb6a179a415
roboto 0.4.3 Roboto_400Regular d5fabe7f5e706dc3c6b4e39687c5a45f1b25975dd689d8d850a97f41a00fa85f
rye 0.4.1 Rye_400Regular c1d3bc6ee64e49ad10625fcff6f101c3c930a70be171827b208bfaf2e633b5e1
shadows-into-light 0.4.1 ShadowsIntoLight_400Regular c99a4994ff32cd899750a3e2af36dd539b7eeeeac3637c6670997108e0bc7dda
share-tech-mono 0.4.1 ShareTechMono_400Regular dc9c434e7a568a90815ce4b4c54324383d31878c22221e9deac89796fefa8be6
space-mono 0.4.2 SpaceMono_400Regular 70a908cc27d0194daaa70643238dc717b57eb670c6dc156185b0b818930fe2b2
special-elite 0.4.1 SpecialElite_400Regular 7a612f3dfa4257e563aec0a6ec26b9f3b669ee9246968c690e0856a3fe6f96c6
uncial-antiqua 0.4.1 UncialAntiqua_400Regular 1499b6554e4040abaa323f215dfedbb6a27fafcf11af8818c5e1fd75189d47b3
unifrakturcook 0.4.1 UnifrakturCook_700Bold 6d995cf45af221801aa6c3fd02d8692545d7527b93c274c2136f3acc10c51f02
vt323 0.4.1 VT323_400Regular 65d8c2bee16df99479fd14134220598e0c4986b7d7baf11490feae3e2093e0a3
zilla-slab 0.4.1 ZillaSlab_400Regular faf6c72bf29850ea63a95d120317ee187c018254763277a86563a624e7bd36ca
"""  # noqa: E501 - a package a line

FONTS = tuple(_font(*row.split()) for row in _TABLE.splitlines())
